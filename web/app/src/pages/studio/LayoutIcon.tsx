export type LayoutName = "single" | "grid" | "speaker" | "pip" | "screen";

type Box = [x: number, y: number, width: number, height: number];

/** Boxes on a picture of 36 x 22. */
const BOXES: Record<LayoutName, Box[]> = {
  single: [[1, 1, 34, 20]],
  grid: [
    [1, 1, 16, 9],
    [19, 1, 16, 9],
    [1, 12, 16, 9],
    [19, 12, 16, 9],
  ],
  speaker: [
    [1, 1, 34, 13],
    [1, 16, 10, 5],
    [13, 16, 10, 5],
    [25, 16, 10, 5],
  ],
  pip: [
    [1, 1, 34, 20],
    [22, 12, 11, 7],
  ],
  screen: [
    [1, 1, 24, 20],
    [27, 1, 8, 9],
  ],
};

export function LayoutIcon({ name }: { name: LayoutName }) {
  return (
    <svg viewBox="0 0 36 22" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="1.5">
      {BOXES[name].map(([x, y, width, height], index) => (
        <rect
          key={`${x}-${y}-${width}`}
          x={x}
          y={y}
          width={width}
          height={height}
          rx="1.5"
          fill={name === "pip" && index === 1 ? "currentColor" : "none"}
        />
      ))}
    </svg>
  );
}

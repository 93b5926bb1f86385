/**
 * Reads Odeon's test card from pixels: the burnt-in clock, the frame counter and the flash.
 *
 * The layout is described in libs/testkit/odeon_testkit/testcard/layout.py: all positions are fractions of
 * the picture. The top 24 % hold 4 rows of 26 cells; the outer cells calibrate (left: white, black, white,
 * black; right: the opposite), the 96 inner ones are bits, most significant first: 48 bits unix ms,
 * 24 bits frame counter, 8 bits flags (bit 0: flash), 16 bits CRC-16/CCITT-FALSE.
 */

const ROWS = 4;
const COLUMNS = 26;
const STRIP_HEIGHT = 0.24;
const MIN_CONTRAST = 50;
const FLASH: Area = { left: 0.7, top: 0.4, right: 0.95, bottom: 0.82 };

interface Area {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The part of ImageData that the reader needs. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** RGBA, four bytes a pixel. */
  readonly data: ArrayLike<number>;
}

export interface TestCardReading {
  /** When the frame was captured, publisher's clock. */
  unixMs: number;
  /** Modulo 2^24. */
  counter: number;
  /** What the code says. */
  flash: boolean;
  /** What the flash area looks like. */
  flashSeen: boolean;
}

/** Reads a whole picture of any size; null when it shows no readable card. */
export function readTestCard(picture: Pixels): TestCardReading | null {
  if (picture.height < 40 || picture.width < 2 * COLUMNS) return null;
  const white: number[] = [];
  const black: number[] = [];
  const inner: number[] = [];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const mean = areaMean(picture, cell(row, column));
      if (column > 0 && column < COLUMNS - 1) inner.push(mean);
      else ((row % 2 === 0) === (column === 0) ? white : black).push(mean);
    }
  }
  if (Math.min(...white) - Math.max(...black) < MIN_CONTRAST) return null;
  const threshold = (average(white) + average(black)) / 2;
  const bytes = toBytes(inner.map((mean) => mean > threshold));
  const payload = bytes.slice(0, 10);
  if (crc16(payload) !== number(bytes, 10, 12)) return null;
  return {
    unixMs: number(bytes, 0, 6),
    counter: number(bytes, 6, 9),
    flash: ((bytes[9] ?? 0) & 1) === 1,
    flashSeen: areaMean(picture, FLASH) > threshold,
  };
}

function cell(row: number, column: number): Area {
  const height = STRIP_HEIGHT / ROWS;
  return {
    left: column / COLUMNS,
    top: row * height,
    right: (column + 1) / COLUMNS,
    bottom: (row + 1) * height,
  };
}

/** Mean luma of the middle half of an area. */
function areaMean({ width, height, data }: Pixels, area: Area): number {
  const dx = (area.right - area.left) / 4;
  const dy = (area.bottom - area.top) / 4;
  const left = Math.floor((area.left + dx) * width);
  const right = Math.max(left + 1, Math.floor((area.right - dx) * width));
  const top = Math.floor((area.top + dy) * height);
  const bottom = Math.max(top + 1, Math.floor((area.bottom - dy) * height));
  let sum = 0;
  for (let y = top; y < bottom; y++) {
    for (let at = (y * width + left) * 4, x = left; x < right; x++, at += 4) {
      sum += (data[at] ?? 0) * 77 + (data[at + 1] ?? 0) * 150 + (data[at + 2] ?? 0) * 29;
    }
  }
  return sum / 256 / ((right - left) * (bottom - top));
}

function toBytes(bits: boolean[]): number[] {
  const bytes: number[] = [];
  for (let at = 0; at < bits.length; at += 8) {
    bytes.push(bits.slice(at, at + 8).reduce((byte, bit) => byte * 2 + (bit ? 1 : 0), 0));
  }
  return bytes;
}

/** Big-endian number; multiplies instead of shifting because 48 bits do not fit into an int32. */
function number(bytes: number[], from: number, to: number): number {
  return bytes.slice(from, to).reduce((value, byte) => value * 256 + byte, 0);
}

function crc16(bytes: number[]): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
    }
  }
  return crc;
}

function average(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

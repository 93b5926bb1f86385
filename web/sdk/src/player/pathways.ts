import type Hls from "hls.js";

/** hls.js does not return to a pathway that failed for this long (ms), nor do we count on it. */
const PENALTY_MS = 300_000;

type Steered = Pick<Hls, "levels" | "loadLevel" | "pathways">;

/**
 * Whether a host that cannot be reached is better left than asked again. It is while there is
 * another pathway that has not failed lately; when all have, it is the network, and patience helps.
 */
export class Pathways {
  readonly #left = new Map<string, number>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Whether to leave the pathway that is played now; then it counts as failed. */
  leaves(hls: Steered): boolean {
    const current = hls.levels[Math.max(0, hls.loadLevel)]?.pathwayId;
    const isThere = (pathway: string) => {
      const since = this.#left.get(pathway);
      return since === undefined || this.now() - since > PENALTY_MS;
    };
    const others = hls.pathways.filter((pathway) => pathway !== current);
    if (current === undefined || !others.some(isThere)) return false;
    this.#left.set(current, this.now());
    return true;
  }
}

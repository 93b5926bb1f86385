/** Delays between attempts: doubling from `first` to `most`, each shortened by up to a third. */
export class Backoff {
  #attempt = 0;

  constructor(
    private readonly firstMs = 250,
    private readonly mostMs = 8000,
    private readonly random: () => number = Math.random,
  ) {}

  get attempt(): number {
    return this.#attempt;
  }

  /** The next delay in milliseconds; the first retry is immediate. */
  next(): number {
    const attempt = this.#attempt++;
    if (attempt === 0) return 0;
    const full = Math.min(this.mostMs, this.firstMs * 2 ** (attempt - 1));
    return full * (1 - this.random() / 3);
  }

  reset(): void {
    this.#attempt = 0;
  }
}

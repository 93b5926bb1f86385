import { readTestCard, type TestCardReading } from "../testcard";

/** One presented frame of the test card. */
export interface GlassSample {
  /** When the frame was presented, viewer's clock, unix milliseconds. */
  at: number;
  /** Presented minus captured, milliseconds. */
  latencyMs: number;
  reading: TestCardReading;
}

/** Size that frames are read at: small enough to be cheap, large enough for the card's cells. */
const WIDTH = 416;
const HEIGHT = 234;
const MAX_SAMPLES = 20_000;

/**
 * Measures glass to glass from what is really shown: reads the test card's clock from the pixels
 * of each presented frame. Meant for one machine, where both clocks are the same.
 */
export class GlassMeter {
  readonly samples: GlassSample[] = [];
  readonly #canvas = new OffscreenCanvas(WIDTH, HEIGHT);
  readonly #context = this.#canvas.getContext("2d", { willReadFrequently: true });
  #handle = 0;

  constructor(private readonly video: HTMLVideoElement) {
    this.#next();
  }

  /** Latency of the newest frame; undefined before the first readable one. */
  get latest(): GlassSample | undefined {
    return this.samples.at(-1);
  }

  stop(): void {
    this.video.cancelVideoFrameCallback(this.#handle);
  }

  #next(): void {
    this.#handle = this.video.requestVideoFrameCallback((_, metadata) => {
      this.#read(performance.timeOrigin + metadata.presentationTime);
      this.#next();
    });
  }

  #read(at: number): void {
    if (!this.#context) return;
    this.#context.drawImage(this.video, 0, 0, WIDTH, HEIGHT);
    const reading = readTestCard(this.#context.getImageData(0, 0, WIDTH, HEIGHT));
    if (!reading) return;
    this.samples.push({ at, latencyMs: at - reading.unixMs, reading });
    if (this.samples.length > MAX_SAMPLES) this.samples.shift();
  }
}

/** Of buffers, between two turns of the pacer. */
const STRIDE_BYTES = 64 * 1024;
/** 16 KiB of the engine's own heap: twice as much saves 15 MiB and costs a tenth of the throughput. */
const BALLAST_ITEMS = 2048;

/**
 * Keeps what a stream leaves behind small. Buffers lie outside the engine's heap, which collects for their sake only
 * after 64 MiB of them, and at gigabytes per second another 30 MiB pile up before it is done. So a quarter as much
 * is spent of the heap itself: a cheap minor collection comes before that, and frees the buffers that were read.
 */
export class Pacer {
  /** Never read; held so that the allocation cannot be optimised away. */
  ballast: unknown;
  #bytes = 0;

  /** Precondition: called once for each buffer that was handed out. */
  spend(bytes: number): void {
    this.#bytes += bytes;
    for (; this.#bytes >= STRIDE_BYTES; this.#bytes -= STRIDE_BYTES) {
      // oxlint-disable-next-line unicorn/no-new-array -- one block of the heap, empty, is what is wanted
      this.ballast = new Array(BALLAST_ITEMS);
    }
  }
}

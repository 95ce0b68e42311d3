export interface Size {
  readonly name: string;
  readonly bytes: number;
}

/** A token, a certificate, a bundle of credentials, a file. */
export const PAYLOAD_SIZES: readonly Size[] = [
  { name: '256 B', bytes: 256 },
  { name: '4 KiB', bytes: 4 * 1024 },
  { name: '64 KiB', bytes: 64 * 1024 },
  { name: '1 MiB', bytes: 1024 * 1024 },
];

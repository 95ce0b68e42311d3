/** Placeholder until the suite stands; replaced by its exports. */
export const PENDING = true;

import { closing } from './closing.ts';
import { custody } from './custody.ts';
import { deletion } from './deletion.ts';
import type { Check, KmsHarness, Theme } from './harness.ts';
import { imports } from './imports.ts';
import { limits } from './limits.ts';
import { lists } from './lists.ts';
import { signing } from './signing.ts';
import { tenants } from './tenants.ts';
import { undeclared } from './undeclared.ts';
import { wrapping } from './wrapping.ts';

const THEMES: Readonly<Record<string, Theme>> = {
  undeclared,
  signing,
  tenants,
  deletion,
  imports,
  lists,
  wrapping,
  limits,
  custody,
  closing,
};

/** The checks of every theme for a harness, in the order in which they run: the last ones close the provider. */
export function checksOf(harness: KmsHarness): readonly (readonly [theme: string, checks: readonly Check[]])[] {
  return Object.entries(THEMES)
    .map(([theme, checks]) => [theme, checks(harness)] as const)
    .filter(([, checks]) => checks.length > 0);
}

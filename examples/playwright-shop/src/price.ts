/** Prices in euros with two decimals. */
export type Price = number;

/** Rounds to whole cents. Has a known bug: 1.005 is a little less in binary, so the half cent is lost. */
export function roundToCents(amount: number): Price {
  return Math.round(amount * 100) / 100;
}

export function withTax(net: Price, rate: number): Price {
  return roundToCents(net * (1 + rate));
}

export function formatted(price: Price): string {
  return `${price.toFixed(2).replace('.', ',')} €`;
}

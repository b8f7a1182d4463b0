import type { Cart } from './cart';
import { formatted, roundToCents, type Price } from './price';

const COUPONS: Record<string, number> = { 'WELCOME': 0.1, 'SUMMER 25': 0.25 };

export function discounted(total: Price, coupon: string): Price {
  const share = COUPONS[coupon.trim().toUpperCase()];
  if (share === undefined)
    throw new Error(`no coupon "${coupon}"`);
  return roundToCents(total * (1 - share));
}

export function receipt(cart: Cart): string {
  const lines = cart.lines.map(item => `${item.quantity} x ${item.name}  ${formatted(item.price * item.quantity)}`);
  return [...lines, `total  ${formatted(cart.total)}`].join('\n');
}

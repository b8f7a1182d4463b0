import { roundToCents, type Price } from './price';

export type Item = { name: string; price: Price; quantity: number };

export class Cart {
  private readonly items = new Map<string, Item>();

  add(name: string, price: Price, quantity = 1): void {
    if (quantity < 1)
      throw new RangeError(`quantity ${quantity}: at least 1 is needed`);
    const known = this.items.get(name);
    this.items.set(name, { name, price, quantity: quantity + (known?.quantity ?? 0) });
  }

  remove(name: string): void {
    this.items.delete(name);
  }

  get lines(): Item[] {
    return [...this.items.values()];
  }

  get total(): Price {
    return roundToCents(this.lines.reduce((sum, item) => sum + item.price * item.quantity, 0));
  }
}

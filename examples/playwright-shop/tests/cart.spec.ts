import { expect, test } from '@playwright/test';
import { Cart } from '../src/cart';

test.describe('cart', () => {
  test('begins empty', () => {
    expect(new Cart().total).toBe(0);
  });

  test('adds up what is in it', { tag: '@smoke' }, () => {
    const cart = new Cart();
    cart.add('teapot', 19.9);
    cart.add('cup', 4.5, 6);
    expect(cart.total).toBe(46.9);
  });

  test('joins lines of the same thing', () => {
    const cart = new Cart();
    cart.add('cup', 4.5);
    cart.add('cup', 4.5, 2);
    expect(cart.lines).toEqual([{ name: 'cup', price: 4.5, quantity: 3 }]);
  });

  test('refuses less than one', () => {
    expect(() => new Cart().add('cup', 4.5, 0)).toThrow('at least 1');
  });

  test('forgets what is taken out › even twice', () => {
    const cart = new Cart();
    cart.add('cup', 4.5);
    cart.remove('cup');
    cart.remove('cup');
    expect(cart.lines).toEqual([]);
  });
});

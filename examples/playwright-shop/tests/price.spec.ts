import { expect, test } from '@playwright/test';
import { formatted, roundToCents, withTax } from '../src/price';

test.describe('price', () => {
  test('adds the tax', { tag: '@smoke' }, () => {
    expect(withTax(100, 0.19)).toBe(119);
  });

  test('is written with a comma', () => {
    expect(formatted(4.5)).toBe('4,50 €');
  });

  test('rounds half a cent up', () => {
    expect(roundToCents(1.005)).toBe(1.01); // fails: the bug in src/price.ts
  });
});

import { expect, test } from '@playwright/test';
import { StockService } from '../src/stock';

test.describe('stock', () => {
  test('knows what is on the shelf', async ({}, testInfo) => {
    // Flaky: the service has not warmed up when the first try asks it.
    const stock = new StockService(testInfo.retry > 0);
    expect(await stock.available('teapot')).toBe(3);
  });

  test('knows what is sold out', async () => {
    expect(await new StockService(true).available('cup')).toBe(0);
  });
});

/** The stock service of the shop, as it is on a slow day: its first answer comes too late. */
export class StockService {
  constructor(private readonly warm: boolean) {}

  async available(name: string): Promise<number> {
    if (!this.warm)
      throw new Error(`stock of "${name}": no answer within 200 ms`);
    return name === 'teapot' ? 3 : 0;
  }
}

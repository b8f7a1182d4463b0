// Sends what is meant for Empirical's servers to the one that EMPIRICAL_SERVER names, and nothing anywhere else.
// node --require ./empirical_preload.js dist/index.js
'use strict';

const server = process.env.EMPIRICAL_SERVER.replace(/\/+$/, '');
const vendors = new Set(['api.empirical.run', 'dash.empirical.run', 'dispatch.empirical.run']);
const send = globalThis.fetch;

globalThis.fetch = async (asked, options) => {
  const request = new Request(asked, options);
  const url = new URL(request.url);
  if (!vendors.has(url.hostname)) {
    throw new Error(`${url.host} is not one of Empirical's servers`);
  }
  // A body of known length, as the request had before.
  const body = request.body ? await request.arrayBuffer() : undefined;
  return send(server + url.pathname + url.search, { method: request.method, headers: request.headers, body });
};

// Sends what is meant for Empirical's servers to the one that EMPIRICAL_SERVER names, and nothing anywhere else.
// node --require ./empirical_preload.js dist/index.js
'use strict';

const server = new URL(process.env.EMPIRICAL_SERVER);
const vendors = new Set(['api.empirical.run', 'dash.empirical.run', 'dispatch.empirical.run']);
const send = globalThis.fetch;

globalThis.fetch = (asked, options) => {
  const request = new Request(asked, options);
  const url = new URL(request.url);
  if (!vendors.has(url.hostname)) {
    return Promise.reject(new Error(`${url.host} is not one of Empirical's servers`));
  }
  const target = server.href.replace(/\/$/, '') + url.pathname + url.search;
  return send(new Request(target, request));
};

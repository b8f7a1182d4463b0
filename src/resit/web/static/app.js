"use strict";
/* No framework: what moves, what is typed, and what is only drawn when it is seen. Text goes in as text, never as markup;
   markup comes from our own server alone. */
(() => {
  const root = document.body.dataset.root || "";
  const form = document.body.dataset.form || "";
  const $ = (what, where = document) => where.querySelector(what);
  const $$ = (what, where = document) => [...where.querySelectorAll(what)];
  const get = (path) => fetch(path, { headers: { "X-Resit-Part": "rows" }, credentials: "same-origin" });
  const STATES = { p: "passed", f: "failed", e: "errored", l: "lost", n: "not_found", d: "did_not_run", y: "flaky", s: "skipped", c: "cancelled", r: "running", w: "planned" };

  // ------------------------------------------------------------ light and dark
  for (const button of $$("[data-theme-switch]"))
    button.addEventListener("click", () => {
      const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      document.cookie = `resit_theme=${next};path=${root || "/"};max-age=31536000;samesite=lax`;
      for (const draw of redraws) draw();
    });
  const redraws = [];

  // ------------------------------------------------------------ small things
  for (const button of $$("[data-open]")) if (button.tagName === "BUTTON") button.addEventListener("click", () => $(`#${button.dataset.open}`).showModal());
  for (const button of $$("[data-copy]"))
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText($(`#${button.dataset.copy}`).textContent);
      button.textContent = "Copied";
    });
  for (const select of $$("[data-go]")) select.addEventListener("change", () => { location.href = `${select.dataset.go}?${new URLSearchParams({ [select.name]: select.value })}`; });
  for (const filters of $$("[data-filters]")) {
    for (const select of $$("select", filters)) select.addEventListener("change", () => filters.requestSubmit());
    filters.addEventListener("submit", () => { for (const field of filters.elements) if (field.name && !field.value) field.disabled = true; });
  }
  const once = $("form[action$='/link']");
  if (once) once.submit();

  // ------------------------------------------------------------ keys
  const rows = () => $$("[data-row]").filter((row) => row.offsetParent !== null);
  let at = -1;
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    all[at]?.classList.remove("at");
    at = Math.min(Math.max(at + by, 0), all.length - 1);
    const row = all[at];
    row.classList.add("at");
    row.scrollIntoView({ block: "nearest" });
    const target = row.tagName === "DETAILS" ? $("summary", row) : $("a", row);
    target?.focus({ preventScroll: true });
  };
  let before = "";
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing) { if (event.key === "Escape") event.target.blur(); return; }
    const last = before;
    before = event.key;
    if (event.key === "/") { const field = $("[data-search]"); if (field) { event.preventDefault(); field.focus(); field.select(); } }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "?") $("#help")?.showModal();
    else if (last === "g" && event.key === "r") location.href = `${root}/runs`;
    else if (event.key === "r") { const button = $("[data-key='r']:not([disabled])"); if (button) { button.focus(); button.click(); } }
  });

  // ------------------------------------------------------------ the list of runs
  const table = $("[data-live='rows']");
  if (table) setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await get(location.href);
      if (!answer.ok || answer.redirected) return;
      const here = table.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      $("tbody", table).innerHTML = await answer.text();
      rows()[at]?.classList.add("at");
      if (here) $$("a", table).find((link) => link.getAttribute("href") === here)?.focus({ preventScroll: true });
    } catch { /* the server is away: the next look may find it */ }
  }, 2500);

  // ------------------------------------------------------------ one test's details, when they are opened
  const filled = async (details) => {
    if (!details.open || details.dataset.have) return;
    details.dataset.have = "yes";
    const body = $(".body", details);
    try {
      const answer = await get(details.dataset.detail);
      body.innerHTML = answer.ok ? await answer.text() : "It can't be shown just now: close it and open it again.";
      if (!answer.ok) delete details.dataset.have;
      body.classList.remove("quiet");
      for (const pre of $$("[data-ansi]", body)) paint(pre);
    } catch { delete details.dataset.have; body.textContent = "The server is away: close it and open it again."; }
  };
  const openable = (where) => {
    for (const details of $$("[data-detail]", where)) {
      details.addEventListener("toggle", () => filled(details));
      if ("first" in details.dataset) details.open = true;
    }
  };
  openable(document);
  for (const pre of $$("[data-ansi]")) paint(pre);

  // ------------------------------------------------------------ choosing tests
  const chosen = new Set();
  const button = $("[data-rerun-chosen]");
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("[data-choose-all]")) for (const each of $$("[data-choose]")) { each.checked = box.checked; box.checked ? chosen.add(each.dataset.choose) : chosen.delete(each.dataset.choose); }
    else if (box.matches("[data-choose]")) box.checked ? chosen.add(box.dataset.choose) : chosen.delete(box.dataset.choose);
    else return;
    if (button) { button.disabled = !chosen.size; button.textContent = chosen.size ? `Re-run selected (${chosen.size})` : "Re-run selected"; }
  });
  button?.addEventListener("click", () => {
    const made = document.createElement("form");
    made.method = "post";
    made.action = `${root}/runs/${$("[data-run]").dataset.run}/rerun`;
    const add = (name, value) => { const field = document.createElement("input"); field.type = "hidden"; field.name = name; field.value = value; made.append(field); };
    add("form", form);
    add("selection", "chosen");
    for (const test of chosen) add("test", test);
    document.body.append(made);
    made.submit();
  });

  // ------------------------------------------------------------ the grid
  const run = $("[data-run]");
  const place = $("[data-grid]");
  const grid = place && run ? makeGrid(place, run.dataset.run) : null;
  function makeGrid(place, id) {
    const canvas = $("canvas", place), tip = $(".tip", place), paper = canvas.getContext("2d");
    let cells = [], size = 14, gap = 3, across = 1, over = -1;
    const names = new Map();
    const colours = () => { const style = getComputedStyle(document.documentElement); const probe = document.createElement("i"); document.body.append(probe); const found = {}; for (const [letter, state] of Object.entries(STATES)) { probe.style.color = `var(--${state})`; found[letter] = getComputedStyle(probe).color; } probe.style.color = "var(--text)"; found.text = getComputedStyle(probe).color; probe.remove(); void style; return found; };
    let ink = colours();
    const shape = () => {
      const width = place.clientWidth;
      const count = cells.length || Number(place.dataset.total) || 1;
      [size, gap] = count <= 400 ? [16, 3] : count <= 2000 ? [11, 2] : count <= 6000 ? [8, 1] : [5, 1];
      across = Math.max(1, Math.floor((width + gap) / (size + gap)));
      const high = Math.ceil(count / across) * (size + gap);
      const ratio = window.devicePixelRatio || 1;
      canvas.width = width * ratio;
      canvas.height = high * ratio;
      canvas.style.height = `${high}px`;
      paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    };
    const cell = (n) => {
      const x = (n % across) * (size + gap), y = Math.floor(n / across) * (size + gap);
      paper.clearRect(x - gap / 2, y - gap / 2, size + gap, size + gap);
      paper.fillStyle = ink[cells[n]];
      if (size > 8) { paper.beginPath(); paper.roundRect(x, y, size, size, 2); paper.fill(); } else paper.fillRect(x, y, size, size);
      if (cells[n] === "r" && size > 8) { paper.clearRect(x + 3, y + 3, size - 6, size - 6); }
      if (n === over) { paper.strokeStyle = ink.text; paper.lineWidth = 2; paper.strokeRect(x + 1, y + 1, size - 2, size - 2); }
    };
    const all = () => { shape(); for (let n = 0; n < cells.length; n++) cell(n); };
    const redraw = () => { ink = colours(); all(); };
    redraws.push(redraw);
    new ResizeObserver(all).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    let asking = 0;
    const point = (n) => {
      if (n === over) return;
      const old = over;
      over = n;
      if (old >= 0 && old < cells.length) cell(old);
      if (n < 0 || n >= cells.length) { tip.hidden = true; over = -1; return; }
      cell(n);
      tip.hidden = false;
      tip.textContent = STATES[cells[n]].replace("_", " ");
      const x = (n % across) * (size + gap), y = Math.floor(n / across) * (size + gap);
      tip.style.left = `${Math.min(x, Math.max(place.clientWidth - 300, 0))}px`;
      tip.style.top = `${y + size + 6}px`;
      clearTimeout(asking);
      asking = setTimeout(async () => {
        if (!names.has(n)) {
          const some = []; for (let k = Math.max(0, n - 20); k < Math.min(cells.length, n + 40); k++) some.push(`at=${k}`);
          const answer = await get(`${root}/runs/${id}/names?${some.join("&")}`);
          if (!answer.ok) return;
          for (const [ordinal, said] of Object.entries(await answer.json())) names.set(Number(ordinal), said);
        }
        const said = names.get(n);
        if (over === n && said) tip.textContent = `${STATES[cells[n]].replace("_", " ")}: ${said.name} (${said.file})${said.reason ? " — " + said.reason.split("\n")[0] : ""}`;
      }, names.has(n) ? 0 : 80);
    };
    const under = (event) => {
      const box = canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left) / (size + gap)), row = Math.floor((event.clientY - box.top) / (size + gap));
      const n = row * across + column;
      return column < across && n < cells.length ? n : -1;
    };
    const open = (n) => { if (n >= 0) location.href = `${root}/runs/${id}/tests/${n}`; };
    canvas.addEventListener("mousemove", (event) => point(under(event)));
    canvas.addEventListener("mouseleave", () => point(-1));
    canvas.addEventListener("click", (event) => open(under(event)));
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
      if (by) { event.preventDefault(); const n = over < 0 ? 0 : over + by; if (n >= 0 && n < cells.length) point(n); }
      else if (event.key === "Enter") open(over);
    });
    return {
      async load() { const answer = await get(`${root}/runs/${id}/cells`); if (!answer.ok) return -1; const said = await answer.json(); cells = [...said.cells]; all(); return said.seq; },
      change(changed, total) {
        if (total !== cells.length && changed.some(([n]) => n >= cells.length)) { for (const [n] of changed) while (cells.length <= n) cells.push("w"); for (const [n, letter] of changed) cells[n] = letter; all(); return; }
        for (const [n, letter] of changed) { cells[n] = letter; cell(n); }
      },
      get length() { return cells.length; },
    };
  }

  // ------------------------------------------------------------ a run that goes on
  if (run) (async () => {
    let since = grid ? await grid.load() : Number(run.dataset.seq);
    if (run.dataset.wasOpen !== "yes") return;
    const word = $("[data-live-word]");
    const source = new EventSource(`${root}/runs/${run.dataset.run}/live?since=${since}`);
    let red = -1, waiting = 0;
    source.addEventListener("open", () => { word.textContent = "live"; word.classList.add("on"); });
    source.addEventListener("error", () => { word.textContent = "the server is away; trying again"; word.classList.remove("on"); });
    source.addEventListener("change", (event) => {
      const said = JSON.parse(event.data);
      if (!said.head) return;
      $("#head").innerHTML = said.head;
      const legend = $("#legend");
      if (legend) legend.innerHTML = said.legend;
      if (grid) grid.change(said.cells, said.total);
      else if (said.total && run.dataset.tab === "") location.reload();
      if (said.red !== red && $("#failures")) {
        red = said.red;
        clearTimeout(waiting);
        waiting = setTimeout(renew, 600);
      }
    });
    source.addEventListener("end", () => { source.close(); word.textContent = ""; word.classList.remove("on"); renew().then(() => refresh()); });
  })();
  async function renew() {
    const place = $("#failures");
    if (!place || place.contains(document.activeElement) && $("details[open]", place)) return;
    const answer = await get(`${root}/runs/${run.dataset.run}/failures`);
    if (!answer.ok) return;
    const open = new Set($$("details[open]", place).map((each) => each.dataset.detail));
    place.innerHTML = await answer.text();
    openable(place);
    for (const details of $$("[data-detail]", place)) if (open.has(details.dataset.detail)) details.open = true;
  }
  async function refresh() {  // the buttons of a run that is over
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = $("#actions"), then = $("#actions", fresh);
    if (now && then) now.replaceWith(then);
    document.title = fresh.title;
  }

  // ------------------------------------------------------------ colours of terminals
  function spans(text) {
    const made = document.createDocumentFragment();
    let classes = [];
    for (const part of text.split(/(\x1b\[[0-9;]*m)/)) {
      const found = /^\x1b\[([0-9;]*)m$/.exec(part);
      if (!found) {
        const bare = part.replace(/\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]/g, "");
        if (!bare) continue;
        if (!classes.length) { made.append(bare); continue; }
        const span = document.createElement("span");
        span.className = classes.join(" ");
        span.textContent = bare;
        made.append(span);
        continue;
      }
      for (const code of (found[1] || "0").split(";").map(Number)) {
        if (code === 0) classes = [];
        else if (code >= 1 && code <= 4) classes = [...classes.filter((c) => c !== `a${code}`), `a${code}`];
        else if (code === 22) classes = classes.filter((c) => c !== "a1" && c !== "a2");
        else if (code === 39) classes = classes.filter((c) => c[0] !== "c");
        else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) classes = [...classes.filter((c) => c[0] !== "c"), `c${code % 10}`];
      }
    }
    return made;
  }
  function paint(element) { element.replaceChildren(spans(element.textContent)); }

  // ------------------------------------------------------------ logs: only the lines that are seen are in the page
  const box = $("[data-log]");
  if (box) (async () => {
    const HIGH = parseFloat(getComputedStyle(box).lineHeight) || 18;
    const space = document.createElement("div"), rows_ = document.createElement("div");
    rows_.className = "rows";
    box.append(space, rows_);
    let lines = [""], wanted = "", hits = [], hit = -1, at_ = 0;
    const tail = $("[data-log-tail]"), find = $("[data-log-find]"), said = $("[data-log-found]");
    const draw = () => {
      space.style.height = `${lines.length * HIGH}px`;
      const first = Math.max(0, Math.floor(box.scrollTop / HIGH) - 10), last = Math.min(lines.length, first + Math.ceil(box.clientHeight / HIGH) + 20);
      rows_.style.top = `${first * HIGH}px`;
      rows_.replaceChildren(...lines.slice(first, last).map((line, k) => {
        const div = document.createElement("div"), n = document.createElement("span");
        n.className = "n";
        n.textContent = first + k + 1;
        div.append(n, spans(line));
        if (wanted && line.toLowerCase().includes(wanted)) { const mark = document.createElement("mark"); mark.append(...div.childNodes); div.append(mark); }
        return div;
      }));
    };
    const search = (go) => {
      wanted = find.value.toLowerCase();
      hits = wanted ? lines.flatMap((line, n) => (line.toLowerCase().includes(wanted) ? [n] : [])) : [];
      if (go && hits.length) { hit = (hit + go + hits.length) % hits.length; tail.checked = false; box.scrollTop = Math.max(0, hits[hit] * HIGH - box.clientHeight / 2); }
      said.textContent = wanted ? (hits.length ? `${Math.max(hit, 0) + 1} of ${hits.length} lines` : "not found") : "";
      draw();
    };
    find.addEventListener("input", () => { hit = -1; search(1); });
    find.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); search(event.shiftKey ? -1 : 1); } });
    box.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    for (;;) {
      let open = false;
      try {
        const answer = await get(`${box.dataset.log}?after=${at_}`);
        if (!answer.ok) break;
        const text = await answer.text();
        const next = Number(answer.headers.get("X-Resit-Next-Offset"));
        open = answer.headers.get("X-Resit-Open") === "yes" || next - at_ >= 1000000;
        at_ = next;
        if (text) {
          const fresh = text.replace(/\r\n/g, "\n").split("\n");
          lines[lines.length - 1] += fresh[0];
          for (const line of fresh.slice(1)) lines.push(line);
          if (wanted) search(0); else draw();
          if (tail.checked) box.scrollTop = box.scrollHeight;
        }
      } catch { open = true; }
      if (!open) break;
      await new Promise((done) => setTimeout(done, 1500));
    }
    draw();
  })();
})();

"use strict";
// What every page of the site uses: routing, data, elements, theme and keys. Loaded in the head.
const kdbench = (() => {
  const root = document.documentElement;
  root.classList.add("js"); // site.css then hides all pages but one
  const pages = new Map(); // name -> { show(params, element), keys }
  const arrivals = new Map(); // name of data -> { promise, resolve }

  // Elements. Texts become text nodes, so what a model wrote is never read as HTML.
  function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
    return element;
  }

  // Data: inlined in a single file, else a script in data/, since file:// cannot fetch.
  function entry(name) {
    if (!arrivals.has(name)) {
      const made = {};
      made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
      arrivals.set(name, made);
    }
    return arrivals.get(name);
  }
  function load(name) {
    if (arrivals.has(name)) return arrivals.get(name).promise;
    const made = entry(name);
    const inlined = document.getElementById(`data-${name}`);
    if (inlined) {
      made.resolve(JSON.parse(inlined.textContent));
    } else {
      const script = el("script", { src: `data/${name}.js` });
      script.addEventListener("error", () => {
        arrivals.delete(name);
        made.reject(new Error(`data/${name}.js cannot be read; is the folder complete?`));
      });
      script.addEventListener("load", () => script.remove());
      document.head.append(script);
    }
    return made.promise;
  }
  function arrived(name, value) {
    entry(name).resolve(value);
  }

  // Lets the memory of a large value go; it can be loaded again.
  function forget(name) {
    arrivals.delete(name);
  }

  // Libraries: run once, when a page first needs them. In a single file their text waits unread.
  const libraries = new Map(); // file -> promise
  function library(file) {
    if (!libraries.has(file)) libraries.set(file, new Promise((resolve, reject) => {
      const text = document.getElementById(`library-${file}`)?.textContent;
      const script = el("script", text ? {} : { src: `static/${file}` }, text);
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error(`static/${file} cannot be read; is the folder complete?`)));
      document.head.append(script);
      if (text) resolve();
    }));
    return libraries.get(file);
  }

  // Routing: #/name?key=value. A page that has no script is shown as it is.
  function page(name, description) {
    pages.set(name, description);
  }
  function address(name, params = {}) {
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(params)) {
      if (value === null || value === undefined || value === "") continue;
      query.set(key, Array.isArray(value) ? value.join(",") : String(value));
    }
    const text = query.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
    return `#/${name}${text ? `?${text}` : ""}`;
  }
  function go(name, params = {}, { replace = false } = {}) {
    const hash = address(name, params);
    if (hash === location.hash) return;
    if (replace) {
      history.replaceState(null, "", hash);
      route(false);
    } else {
      location.hash = hash; // the event calls route
    }
  }
  function where() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    return { name: path, params: Object.fromEntries(new URLSearchParams(query)) };
  }
  let shown = null;
  function route(moved = true) {
    const sections = [...document.querySelectorAll("section.page")];
    let { name, params } = where();
    let section = sections.find((s) => s.dataset.page === name);
    if (!section) {
      if (shown !== null && location.hash.length > 1) return; // a link within the page
      section = sections[0];
      name = section.dataset.page;
      params = {};
    }
    for (const other of sections) other.classList.toggle("shown", other === section);
    for (const link of document.querySelectorAll("[data-page-link]")) {
      if (link.dataset.pageLink === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const heading = section.querySelector("h1");
    document.title = `${heading.textContent} · ${root.dataset.title}`;
    if (moved && shown !== null && shown !== name) {
      heading.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    shown = name;
    const description = pages.get(name);
    if (!description) return;
    Promise.resolve()
      .then(() => description.show(params, section.querySelector(".page-body")))
      .catch((error) => {
        section.querySelector(".failure")?.remove();
        section.append(el("p", { class: "failure", role: "alert" }, String(error.message ?? error)));
        throw error;
      });
  }

  // Theme: system unless chosen; the choice is kept where the browser lets a page keep one.
  const THEMES = ["system", "light", "dark"];
  function stored(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // a browser may refuse storage to files
    }
  }
  function store(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // The choice then lasts as long as the page.
    }
  }
  function setTheme(theme) {
    root.dataset.theme = theme;
    store("kdbench-theme", theme);
    document.dispatchEvent(new CustomEvent("kdbench-theme", { detail: theme }));
  }
  root.dataset.theme = THEMES.includes(stored("kdbench-theme")) ? stored("kdbench-theme") : "system";

  function themeButton() {
    const button = el("button", { type: "button", class: "quiet" });
    const label = () => {
      button.textContent = `◐ ${root.dataset.theme}`;
      button.setAttribute("aria-label", `Theme: ${root.dataset.theme}`);
    };
    label();
    button.addEventListener("click", () => {
      setTheme(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length]);
      label();
    });
    return button;
  }

  // Keys: those of every page, and those that the page shown declares as [[key, meaning], …].
  const KEYS = [["?", "show these keys"], ["t", "change the theme"], ["1 … 9", "open a page"], ["Esc", "close"]];
  function showKeys() {
    const old = document.getElementById("keys");
    if (old?.open) return old.close();
    old?.remove();
    const keys = [...KEYS, ...(pages.get(shown)?.keys ?? [])];
    const dialog = el(
      "dialog",
      { id: "keys", "aria-labelledby": "keys-title" },
      el("h2", { id: "keys-title" }, "Keys"),
      el("dl", {}, keys.map(([key, meaning]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, meaning)])),
      el("form", { method: "dialog" }, el("button", {}, "Close")),
    );
    document.body.append(dialog);
    dialog.showModal();
  }
  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
    const links = [...document.querySelectorAll("[data-page-link]")];
    if (event.key === "?") showKeys();
    else if (event.key === "t") document.querySelector("#site-tools button")?.click();
    else if (/^[1-9]$/.test(event.key) && links[event.key - 1]) links[event.key - 1].click();
    else if (pages.get(shown)?.key?.(event)) event.preventDefault();
  }

  document.addEventListener("DOMContentLoaded", () => {
    root.dataset.title = document.title;
    const keys = el("button", { type: "button", class: "quiet", "aria-label": "Keys", onclick: showKeys }, "?");
    document.getElementById("site-tools").append(themeButton(), keys);
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault(); // keeps the address of the page
      document.getElementById("main").focus();
    });
    document.addEventListener("keydown", typed);
    window.addEventListener("hashchange", () => route());
    route();
  });
  return { page, load, library, arrived, forget, go, address, where, el };
})();

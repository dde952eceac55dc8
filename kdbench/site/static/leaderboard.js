"use strict";
// The leaderboard: which metric, which rows, with or without intervals. vendor/sortable.js sorts.
(() => {
  const tools = document.getElementById("board-tools");
  const boards = [...document.querySelectorAll(".board")];
  const first = boards[0]?.dataset.board;

  function change() {
    const value = (name) => tools.elements[name].value.trim();
    const on = (name) => (tools.elements[name].checked ? "1" : null);
    const metric = value("metric");
    const params = { metric: metric === first ? null : metric, q: value("q"), ci: on("ci"), sd: on("sd") };
    kdbench.go("leaderboard", params, { replace: true });
  }
  tools.addEventListener("input", change);
  tools.addEventListener("submit", (event) => event.preventDefault());

  function filter(board, words) {
    let shown = 0;
    for (const row of board.querySelectorAll("tbody tr")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    for (const table of board.querySelectorAll(".scroll")) {
      table.hidden = [...table.querySelectorAll("tbody tr")].every((row) => row.hidden);
    }
    return shown;
  }

  kdbench.page("leaderboard", {
    keys: [["/", "filter the rows"], ["i", "show intervals"]],
    key(event) {
      if (event.key === "/") tools.elements.q.focus();
      else if (event.key === "i") tools.elements.ci.click();
      else return false;
      return true;
    },
    show(params, element) {
      const known = boards.some((board) => board.dataset.board === params.metric);
      const metric = known ? params.metric : first;
      tools.elements.metric.value = metric;
      if (document.activeElement !== tools.elements.q) tools.elements.q.value = params.q ?? "";
      tools.elements.ci.checked = params.ci === "1";
      tools.elements.sd.checked = params.sd === "1";
      element.classList.toggle("with-ci", params.ci === "1");
      element.classList.toggle("with-sd", params.sd === "1");
      const words = (params.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      for (const board of boards) {
        board.classList.toggle("shown", board.dataset.board === metric);
        if (board.dataset.board !== metric) continue;
        const shown = filter(board, words);
        const all = board.querySelectorAll("tbody tr").length;
        document.getElementById("board-count").textContent = words.length ? `${shown} of ${all} rows` : "";
      }
    },
  });
})();

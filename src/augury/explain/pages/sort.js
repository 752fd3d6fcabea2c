"use strict";
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.hasAttribute("data-value") ? cell.dataset.value : cell.textContent.trim();
  };
  // Numbers by size, text alphabetically, cells without a value always last.
  const compare = (a, b, direction) => {
    if (a === "" || b === "" || a === "–" || b === "–") return (a === "" || a === "–") - (b === "" || b === "–");
    const x = Number(a.replace("−", "-")), y = Number(b.replace("−", "-"));
    return direction * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
  };
  const sort = (table, column) => {
    const headers = [...table.tHead.rows[0].cells];
    const header = headers[column];
    const first = header.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = header.getAttribute("aria-sort") === first ? other : first;
    headers.forEach((cell) => cell.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const direction = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    [...body.rows]
      .sort((a, b) => compare(value(a, column), value(b, column), direction))
      .forEach((row) => body.append(row));
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort";
      button.append(...cell.childNodes);
      button.addEventListener("click", () => sort(table, column));
      cell.append(button);
    });
  });
  // Expand all details, since a printed page cannot be.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  document.documentElement.dataset.sorting = "ready";
})();

// Sorts a table by the column whose heading is pressed. Without it the page reads the same, in the order written.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const keyed = [...body.rows].map((row) => ({ row, key: keyOf(row.cells[column]) }));
      keyed.sort((one, other) => compare(one.key, other.key, ascending));
      body.append(...keyed.map((each) => each.row));
    });
  });
}

// The number that a cell begins with, else its text; null where it is empty or a dash.
function keyOf(cell) {
  const text = cell.innerText.trim();
  if (text === "" || text === "-") return null;
  const number = /^[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?/i.exec(text);
  return number === null ? text : Number(number[0].replaceAll(",", "").replace("−", "-"));
}

// Empty cells come last in both directions, numbers before texts.
function compare(one, other, ascending) {
  if (one === null || other === null) return (one === null) - (other === null);
  const sign = ascending ? 1 : -1;
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return sign * one.localeCompare(other);
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const th = button.closest("th"), table = th.closest("table"), column = th.cellIndex;
    const up = th.getAttribute("aria-sort") !== "ascending";
    const value = (row) => row.cells[column].dataset.by ?? "";
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is unknown comes last, either way
      const sign = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? sign : -sign;
    };
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  });
}

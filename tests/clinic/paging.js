// Query parameters → pieces of SQL. Unknown parameters are ignored; unknown columns to sort by are an error.

/** A repeated or unreadable `page` or `limit` means the default. */
export function paging(query, sortable, fallback = `"createdAt" desc`) {
  const page = positive(query.page, 1);
  const limit = positive(query.limit, 10);
  return { page, limit, sql: `order by ${ordering(query, sortable, fallback)} limit ${limit} offset ${(page - 1) * limit}` };
}

function positive(value, fallback) {
  const number = Number(value);
  return Number.isInteger(number) && number > 0 ? number : fallback;
}

function ordering({ sortBy, sortOrder }, sortable, fallback) {
  if (!sortBy || !sortOrder) return fallback;
  if (!sortable.includes(sortBy)) throw new Error(`Cannot sort by ${sortBy}`);
  if (sortOrder !== "asc" && sortOrder !== "desc") throw new Error(`Invalid sortOrder ${sortOrder}`);
  return `"${sortBy}" ${sortOrder}`;
}

/** Collects conditions and their parameters: `where.add((p) => `email = ${p}`, value)`; an empty value adds nothing. */
export function conditions() {
  const parts = [];
  const params = [];
  return {
    params,
    add(condition, value) {
      if (value === undefined || value === "") return;
      params.push(value);
      parts.push(condition(`$${params.length}`));
    },
    get sql() {
      return parts.length > 0 ? `where ${parts.join(" and ")}` : "";
    },
  };
}

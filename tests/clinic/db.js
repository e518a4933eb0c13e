// The database: PostgreSQL in this process, every statement counted and, if asked, slowed down.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { PGlite } from "@electric-sql/pglite";
// A data directory made beforehand spares initdb, which takes several seconds.
import { dataDir } from "@electric-sql/pglite-prepopulatedfs";

const SCHEMA = new URL("./schema.sql", import.meta.url);

/** `query` and `one` give rows as objects; `transaction` gives a `query` that commits or rolls back as one. */
export async function openDatabase({ queryLatency }, counts) {
  const pg = await PGlite.create({ loadDataDir: await dataDir() });
  await pg.exec(await readFile(SCHEMA, "utf8"));

  const counted = (runner) => async (sql, params = []) => {
    counts.queries += 1;
    if (queryLatency > 0) await sleep(queryLatency);
    return (await runner.query(sql, params)).rows;
  };
  const query = counted(pg);
  return {
    query,
    one: async (sql, params) => (await query(sql, params))[0],
    transaction: (work) => pg.transaction((tx) => work(counted(tx))),
    close: () => pg.close(),
  };
}

/** Inserts plain objects into a table in one statement; their fields must be columns. */
export async function insertAll(query, table, rows) {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0]).map((name) => `"${name}"`).join(", ");
  await query(
    `insert into "${table}" (${columns}) select ${columns} from json_populate_recordset(null::"${table}", $1::json)`,
    [rows],
  );
}

/** Sets those of the allowed columns that `changes` names, and gives the row as it is afterwards. */
export async function update(query, table, key, value, changes, allowed) {
  const names = allowed.filter((name) => changes?.[name] !== undefined);
  if (names.length === 0) throw new Error(`Nothing to update in ${table}`);
  const sets = names.map((name, i) => `"${name}" = $${i + 2}`).join(", ");
  const rows = await query(`update "${table}" set ${sets}, "updatedAt" = now() where "${key}" = $1 returning *`, [
    value,
    ...names.map((name) => changes[name]),
  ]);
  if (rows.length === 0) throw new Error(`No ${table} found`);
  return rows[0];
}

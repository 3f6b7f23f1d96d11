// What the flow runs in: no editor, no page, one pool of connections to the database that PGHOST and its like name.
const { Pool } = require("pg");

module.exports = {
    flowFile: "flow.json",
    credentialSecret: false,
    disableEditor: true,
    httpAdminRoot: false,
    httpNodeRoot: false,
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.NODE_RED_PORT),
    logging: { console: { level: "warn", metrics: false, audit: false } },
    functionGlobalContext: { pool: new Pool({ max: 4 }) },
};

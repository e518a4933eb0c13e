// Starts the clinic and says on one line of standard output where it listens.

import { createClinic } from "./app.js";
import { readSettings } from "./settings.js";

const settings = readSettings();
const { app, close } = await createClinic(settings);

const server = app.listen(settings.port, settings.host, (error) => {
  if (error) {
    console.error(`The clinic cannot listen on ${settings.host}:${settings.port}: ${error.message}`);
    process.exit(1);
  }
  console.log(JSON.stringify({ listening: server.address().port }));
});

function stop() {
  server.close();
  server.closeAllConnections();
  close().finally(() => process.exit(0));
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

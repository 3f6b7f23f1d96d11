// The list of gateways: kept up to date while somebody looks.
import { start } from "./live.js";

start();

import { VIRTIOFS } from "./guests.ts";
import { lifecycle } from "./lifecycle.ts";

lifecycle(VIRTIOFS);

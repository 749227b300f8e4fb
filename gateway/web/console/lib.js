// The libraries, under the names by which the pages use them.
import { h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render };
export { signal, computed } from "./vendor/signals.js";
export { useState, useEffect, useRef, useMemo, useCallback } from "./vendor/hooks.js";
export const html = htm.bind(h);

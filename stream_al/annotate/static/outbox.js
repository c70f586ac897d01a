// What was said and not yet acknowledged, in this browser's storage: a reload, a crash or a closed tab loses nothing.

export function kept(prefix) {
  const memory = new Map();
  const self = {
    durable: true,
    get(name) {
      const text = memory.get(name) ?? read(prefix + name);
      try { return text == null ? null : JSON.parse(text); } catch { return null; }
    },
    set(name, value) {
      const text = JSON.stringify(value);
      memory.delete(name);
      try { localStorage.setItem(prefix + name, text); }
      catch { // full, or forbidden: this page still has it
        memory.set(name, text);
        if (name.startsWith("op ")) self.durable = false;
      }
    },
    drop(name) {
      memory.delete(name);
      try { localStorage.removeItem(prefix + name); } catch { /* it was never there */ }
    },
    names() {
      let found = [];
      try { found = Object.keys(localStorage).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)); } catch { /* forbidden */ }
      return [...new Set([...found, ...memory.keys()])];
    },
  };
  return self;
}

function read(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

export function outbox(keep) {
  const waiting = new Map(); // by key, oldest first; those of an earlier page, or a tab that is gone, are ours now
  const entries = keep.names().filter((name) => name.startsWith("op ")).map((name) => [name, keep.get(name)]);
  entries.sort(([, one], [, other]) => (one?.order ?? 0) - (other?.order ?? 0));
  for (const [name, entry] of entries) {
    if (entry?.operation?.key) waiting.set(entry.operation.key, entry.operation);
    else keep.drop(name);
  }
  let order = Date.now();
  const self = {
    single: false,
    put(operation) {
      order = Math.max(order + 1, Date.now());
      waiting.set(operation.key, operation);
      keep.set(`op ${operation.key}`, { order, operation });
    },
    drop(key) {
      waiting.delete(key);
      keep.drop(`op ${key}`);
      if (!waiting.size) self.single = false;
    },
    all: () => [...waiting.values()].slice(0, self.single ? 1 : undefined),
    answers() {
      const undone = new Set([...waiting.values()].map((operation) => operation.answer));
      return [...waiting.values()].filter(({ op, key }) => op === "answer" && !undone.has(key));
    },
  };
  return self;
}

// The history: in this browser's own database, and nowhere else.

const KEEPS = "distingo.history";
const MOST = 200;

const opened = () => new Promise((resolve, reject) => {
  const request = indexedDB.open("distingo", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("answers", { keyPath: "id", autoIncrement: true });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const transact = async (mode, work) => {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction("answers", mode);
      const request = work(transaction.objectStore("answers"));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
};

export const isKept = () => { try { return localStorage.getItem(KEEPS) !== "no"; } catch { return false; } };
export const setKept = (kept) => { try { localStorage.setItem(KEEPS, kept ? "yes" : "no"); } catch { /* as before, then */ } };

// The newest first; empty where the browser keeps nothing, as in private windows of some.
export const readAll = async () => {
  try {
    return (await transact("readonly", (answers) => answers.getAll())).reverse();
  } catch {
    return [];
  }
};
// Gives the number under which it is kept; with that number again, it takes the place of the one before.
export const keep = async (answer) => {
  if (!isKept()) return undefined;
  try {
    return await transact("readwrite", (answers) => {
      const kept = answers.put(answer);
      const keys = answers.getAllKeys();
      keys.onsuccess = () => keys.result.slice(0, -MOST).forEach((key) => answers.delete(key));
      return kept;
    });
  } catch { // the answer is on the page all the same
    return undefined;
  }
};
export const clear = () => transact("readwrite", (answers) => { answers.clear(); });

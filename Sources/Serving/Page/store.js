// Conversations stay in this browser, in IndexedDB; where there is none, as long as the page is open.

const mostConversations = 500;

const store = {
  database: null,

  async open() {
    try {
      const request = indexedDB.open("moult", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("conversations", { keyPath: "id" });
      this.database = await settled(request);
    } catch {
      notice("This browser keeps no data: conversations are gone when the page is closed.");
    }
  },

  async all() {
    if (!this.database) return [];
    const found = await settled(this.objects("readonly").getAll());
    return found.sort((a, b) => b.updated - a.updated);
  },

  /** Keeps a conversation, unless it was deleted meanwhile. */
  async put(conversation) {
    if (!this.database || !app.conversations.includes(conversation)) return;
    try {
      await settled(this.objects("readwrite").put(conversation));
    } catch (error) {
      notice(`This browser could not keep the conversation: ${error?.message ?? "it has no room"}. Export it, or delete others.`);
    }
  },

  async remove(id) {
    if (this.database) await settled(this.objects("readwrite").delete(id));
  },

  objects(mode) {
    return this.database.transaction("conversations", mode).objectStore("conversations");
  },
};

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

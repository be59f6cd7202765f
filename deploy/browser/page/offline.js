// A service worker: what the page has loaded once is there without a network. A new version of the page replaces all of it.

const CACHE = "ancestral-VERSION";
const SHELL = "SHELL"; // what the page loads before this worker is there

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL.map((url) => new Request(url, { cache: "reload" })))));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  const others = async () => {
    for (const name of await caches.keys()) if (name.startsWith("ancestral-") && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(others());
});

// Not from the HTTP cache, which may hold a file of the version before. The page asks with `reload` where what was kept
// has another hash than it should.
async function answer(event) {
  const { request } = event;
  const cache = await caches.open(CACHE);
  const found = request.cache !== "reload" && (await cache.match(request, { ignoreVary: true }));
  if (found) return found;
  const response = await fetch(request.url, { cache: "no-cache" });
  const full = () => {}; // where no more can be kept, the page works with a network alone
  if (response.ok && response.type === "basic") event.waitUntil(cache.put(request, response.clone()).catch(full));
  return response;
}

self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(self.registration.scope)) event.respondWith(answer(event));
});

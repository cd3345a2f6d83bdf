const STALE_S = 60; // without a word for so long, whoever makes the record may be gone
let ahead = 0; // milliseconds by which the server's clock is ahead of this one's
function age() {
  const head = document.getElementById("head");
  const seconds = (Date.now() + ahead - Date.parse(head.dataset.updated)) / 1000;
  const stale = head.dataset.state === "running" && seconds > STALE_S;
  document.body.classList.toggle("stale", stale);
  document.getElementById("silence").hidden = !stale;
  document.getElementById("minutes").textContent = Math.floor(seconds / 60);
}
async function again() {
  if (document.hidden) return;
  if (location.protocol === "file:") return location.reload();
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) return;
    const sent = Date.parse(answer.headers.get("date"));
    if (sent) ahead = sent - Date.now();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    document.getElementById("main").replaceWith(fresh.getElementById("main"));
  } catch (e) {} // the server is away: this page stays, and tells its age
  age();
}
age();
setInterval(age, 1000);
setInterval(again, document.getElementById("head").dataset.state === "running" ? 5000 : 30000);
document.addEventListener("visibilitychange", again);

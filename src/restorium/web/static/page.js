// What a page does besides links and forms: it swaps in what the server sends while something goes on.

const sign = document.querySelector("[data-live]");
const announcement = document.getElementById("announcement");
const AGAIN_AFTER = 3000;

function say(state, text) {
  sign.dataset.state = state;
  sign.textContent = text;
}

// Keeps the focus and what is folded out in `fresh`, which takes the place of `old`.
function replace(old, fresh) {
  for (const details of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
  if (old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const scrolled = old.querySelector(".events")?.scrollTop;
  const told = old.dataset.announce;
  old.replaceWith(fresh);
  if (scrolled) fresh.querySelector(".events").scrollTop = scrolled;
  if (focused) (focused.id && document.getElementById(focused.id) || document.getElementById("main")).focus();
  if (fresh.dataset.announce !== told) announcement.textContent = fresh.dataset.announce;
}

// The server escapes whatever others have named; a template's content runs no scripts.
function swap(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const fresh of [...template.content.querySelectorAll("[id]")].filter((each) => !each.parentElement)) {
    const old = document.getElementById(fresh.id);
    if (old) {
      replace(old, fresh);
    } else {
      const table = document.getElementById(fresh.dataset.into);
      if (!table) continue;
      table.prepend(fresh);
      announcement.textContent = fresh.dataset.announce;
    }
  }
}

function follow(last) {
  const address = new URL(sign.dataset.live, location.href);
  if (last) address.searchParams.set("last_event_id", last);
  const source = new EventSource(address);
  source.onopen = () => say("live", "Live");
  source.addEventListener("parts", (event) => {
    last = event.lastEventId || last;
    swap(event.data);
  });
  source.addEventListener("place", (event) => {
    last = event.lastEventId || last;
  });
  source.addEventListener("end", () => {
    source.close();
    say("ended", "");
  });
  source.addEventListener("left", () => {
    source.close();
    say("lost", "Not live: log on again");
  });
  source.onerror = () => {
    say("lost", "Not live: connecting again");
    // The browser tries again by itself, but for an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(last), AGAIN_AFTER);
  };
}

if (sign) follow("");

// A form that is sent twice does nothing twice, but looks as if it did.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) setTimeout(() => (button.disabled = true));
});
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const button of document.querySelectorAll("form button")) button.disabled = false;
});

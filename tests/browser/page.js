// What pages do in the tests. Every function returns what a page can find out.

// The response to fetch(); `status` 0 if the page may not read it.
async function ask(url, options = {}) {
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    return {status: response.status, type: response.type, text, headers: Object.fromEntries(response.headers)};
  } catch (error) {
    return {status: 0, type: "error", text: `${error}`, headers: {}};
  }
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function formWith(base64, type = "image/jpeg") {
  const form = new FormData();
  form.append("image", new Blob([bytes(base64)], {type}), "photo.jpg");
  return form;
}

// The width of a picture in an <img>; 0 if the browser does not show it.
function show(url, attributes = {}) {
  return new Promise((resolve) => {
    const image = document.createElement("img");
    image.onload = () => resolve(image.naturalWidth);
    image.onerror = () => resolve(0);
    Object.assign(image, attributes);
    if (url) image.src = url;
    document.body.append(image);
  });
}

// Sends a <form> as a user does, into a new <iframe>, and waits for the response, which the page may not read.
function submitForm(url, base64, enctype = "multipart/form-data") {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = `frame${document.querySelectorAll("iframe").length}`;
    const form = document.createElement("form");
    Object.assign(form, {method: "POST", action: url, enctype, target: frame.name});
    if (enctype === "multipart/form-data") {
      const input = document.createElement("input");
      Object.assign(input, {type: "file", name: "image"});
      const chosen = new DataTransfer();
      chosen.items.add(new File([bytes(base64)], "photo.jpg", {type: "image/jpeg"}));
      input.files = chosen.files;
      form.append(input);
    } else {
      const input = document.createElement("textarea");
      Object.assign(input, {name: "image", value: base64});
      form.append(input);
    }
    document.body.append(frame, form);
    frame.onload = () => resolve(true);
    form.submit();
  });
}

// An upload of /photo.jpg as upload forms do it, with the events that move their bars.
async function upload(url, headers, inForm) {
  const photo = await (await fetch("/photo.jpg")).blob();
  return await new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const progress = [];
    request.upload.onprogress = (event) => progress.push([event.loaded, event.total]);
    request.onloadend = () => resolve({
      status: request.status,
      text: request.responseText,
      location: request.getResponseHeader("Location"),
      progress,
    });
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const form = new FormData();
    form.append("image", photo, "photo.jpg");
    request.send(inForm ? form : photo);
  });
}

// What the browser tells the page about the next request for a URL, once it has ended.
function ended(url) {
  performance.clearResourceTimings();
  return new Promise((resolve) => {
    new PerformanceObserver((list) => {
      const [entry] = list.getEntriesByName(url);
      if (entry) resolve(entry);
    }).observe({type: "resource"});
  });
}

// The sizes and timings that a page learns of what it embeds.
async function measure(tag, url) {
  const response = ended(url);
  const element = document.createElement(tag);
  element[tag === "object" ? "data" : "src"] = url;
  document.body.append(element);
  const entry = await response;
  return [entry.encodedBodySize, entry.decodedBodySize, entry.transferSize, entry.serverTiming.length];
}

async function beacon(url, body) {
  const response = ended(url);
  navigator.sendBeacon(url, body);
  return (await response).initiatorType;
}

// The live page: pictures of the camera to facepulse on this computer, its readings onto the page.
"use strict";

const LONG = 320, SHORT = 240; // pixels of a picture: enough for a face, little enough for a socket
const HEADER = 16, MAGIC = 0x31505046; // "FPP1"; see pictures.py
const WAITING_BYTES = 3e6; // that the socket may hold back before pictures are left out
const TRACE_S = 180;
const SPEAK_EVERY_MS = 10000;
const SILENT_MS = 4000;

const byId = (id) => document.getElementById(id);
const video = byId("video"), overlay = byId("overlay"), state = byId("state"), adviceList = byId("advice");
const start = byId("start"), record = byId("record"), wavePlot = byId("wave"), tracePlot = byId("trace");
const picture = document.createElement("canvas");
const pixels = picture.getContext("2d", { willReadFrequently: true });

let stream = null; // of the camera, while the page is on
let socket = null;
let retryMs = 500;
let originMs = null; // capture time of the first picture
let latest = null; // reading
let pending = 0; // callback for the next picture
let heardMs = 0; // when facepulse last said something
let spokenMs = -Infinity;
let trace = []; // {time_s, bpm}
let recording = null; // {readings, waveform}

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

function advise(lines) {
  if ([...adviceList.children].map((item) => item.textContent).join("\n") === lines.join("\n")) return;
  adviceList.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}

// --- camera

const REFUSED = {
  NotAllowedError: "The camera was refused. Allow it for this page, at the camera sign beside the address, and press Start.",
  NotFoundError: "There is no camera. Plug one in, and press Start.",
  NotReadableError: "Another program uses the camera. Close it, and press Start.",
};

async function begin() {
  if (!navigator.mediaDevices || !video.requestVideoFrameCallback) {
    say(navigator.mediaDevices
      ? "This browser is too old to say when a picture was taken. Use a newer one."
      : "A browser gives its camera only to pages of this computer itself, or to pages with https.");
    return;
  }
  start.disabled = true;
  say("Waiting for the camera.");
  advise([]);
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" },
    });
  } catch (error) {
    say(REFUSED[error.name] || `The camera did not start (${error.name}). Look after it, and press Start.`);
    start.disabled = false;
    return;
  }
  stream.getVideoTracks()[0].addEventListener("ended", () => {
    end();
    say("The camera was unplugged or taken away. Press Start when it is back.");
  });
  video.srcObject = stream;
  await video.play().catch(() => {});
  byId("placeholder").hidden = true;
  start.textContent = "Stop";
  start.disabled = false;
  record.disabled = false;
  originMs = null;
  say("Looking for your face.");
  connect();
  pending = video.requestVideoFrameCallback(take);
}

function end() {
  if (recording) toggleRecording();
  video.cancelVideoFrameCallback(pending); // it would outlive the camera
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  video.srcObject = null;
  if (socket) socket.close();
  socket = null;
  byId("placeholder").hidden = false;
  start.textContent = "Start";
  record.disabled = true;
  show(null);
  say("Stopped. Press Start, and look at the camera.");
}

function take(now, metadata) {
  if (!stream) return;
  pending = video.requestVideoFrameCallback(take);
  if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > WAITING_BYTES) return;
  // When the camera took it, not when it is shown; not every browser says.
  const capturedMs = metadata.captureTime || metadata.expectedDisplayTime || now;
  originMs = originMs === null ? capturedMs : originMs;
  const upright = video.videoHeight > video.videoWidth;
  const [width, height] = upright ? [SHORT, LONG] : [LONG, SHORT];
  if (picture.width !== width || picture.height !== height) [picture.width, picture.height] = [width, height];
  // The middle of the picture, in the shape of what is sent.
  const scale = Math.min(video.videoWidth / width, video.videoHeight / height);
  const [w, h] = [width * scale, height * scale];
  pixels.imageSmoothingQuality = "high";
  pixels.drawImage(video, (video.videoWidth - w) / 2, (video.videoHeight - h) / 2, w, h, 0, 0, width, height);
  const message = new Uint8Array(HEADER + 4 * width * height);
  const header = new DataView(message.buffer);
  header.setUint32(0, MAGIC, true);
  header.setFloat64(4, Math.max(capturedMs - originMs, 0) / 1000, true);
  header.setUint16(12, width, true);
  header.setUint16(14, height, true);
  message.set(pixels.getImageData(0, 0, width, height).data, HEADER);
  socket.send(message);
}

// --- facepulse

function connect() {
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream${location.search}`);
  socket = opened;
  opened.addEventListener("open", () => {
    heardMs = performance.now();
    say("Looking for your face.");
  });
  opened.addEventListener("message", (event) => {
    retryMs = 500;
    heardMs = performance.now();
    show(JSON.parse(event.data));
  });
  opened.addEventListener("close", (event) => {
    if (socket !== opened || !stream) return;
    show(null);
    const why = event.reason;
    say(why ? `facepulse closed the connection: ${why}. Trying again.` : "facepulse does not answer. Is it still running? Trying again.");
    setTimeout(() => { if (socket === opened && stream) connect(); }, retryMs);
    retryMs = Math.min(2 * retryMs, 4000);
  });
}

const WORDS = {
  "no face": () => "No face in view.",
  collecting: (reading) => `Hold still: ${Math.max(1, Math.ceil(5 - reading.window_s))} s to the first reading.`,
  unsure: () => "No reliable pulse yet.",
  measured: () => "Measuring.",
};

function show(reading) {
  latest = reading;
  const bpm = reading && reading.bpm !== null ? reading.bpm : null;
  byId("bpm").textContent = bpm === null ? "–" : bpm.toFixed(0);
  const quality = reading ? reading.quality : 0;
  byId("quality").value = quality;
  byId("quality-text").textContent = quality.toFixed(2);
  drawBox();
  drawWave();
  if (!reading) {
    advise([]);
    byId("delay").textContent = "";
    return;
  }
  if (!document.hidden) say(WORDS[reading.state](reading));
  advise(reading.advice);
  byId("delay").textContent = `${reading.bpm === null ? "" : `read by ${reading.method}, `}${reading.delay_ms.toFixed(0)} ms after the newest picture`;
  if (trace.length && reading.time_s < trace[trace.length - 1].time_s) trace = [];
  trace.push({ time_s: reading.time_s, bpm });
  trace = trace.filter((point) => point.time_s > reading.time_s - TRACE_S);
  drawTrace();
  if (performance.now() - spokenMs > SPEAK_EVERY_MS) {
    spokenMs = performance.now();
    byId("spoken").textContent = bpm === null ? state.textContent : `${bpm.toFixed(0)} beats a minute`;
  }
  if (recording) keep(reading);
}

// --- pictures

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function sized(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.lineWidth = 1.5 * ratio;
  context.font = `${12 * ratio}px system-ui, sans-serif`;
  return { context, width, height, ratio };
}

function drawBox() {
  const { context, width, height, ratio } = sized(overlay);
  if (!latest || !latest.box) return;
  const [x, y, w, h] = latest.box;
  const scale = Math.max(width / picture.width, height / picture.height);
  const [left, top] = [(width - picture.width * scale) / 2, (height - picture.height * scale) / 2];
  context.lineWidth = 3 * ratio;
  context.strokeStyle = latest.state === "measured" ? "#3fb950" : "#ffd33d";
  context.strokeRect(left + x * scale, top + y * scale, w * scale, h * scale);
}

function drawWave() {
  const { context, width, height, ratio } = sized(wavePlot);
  const wave = latest ? latest.waveform : [];
  wavePlot.setAttribute("aria-label", wave.length ? "Pulse wave of the last seconds" : "No pulse wave yet");
  if (!wave.length) return;
  const top = Math.max(...wave), bottom = Math.min(...wave), pad = 6 * ratio;
  context.strokeStyle = latest.state === "measured" ? colour("--accent") : colour("--quiet");
  context.beginPath();
  wave.forEach((value, index) => {
    context.lineTo((index / (wave.length - 1)) * width, pad + ((top - value) / (top - bottom || 1)) * (height - 2 * pad));
  });
  context.stroke();
}

function drawTrace() {
  const { context, width, height, ratio } = sized(tracePlot);
  const known = trace.filter((point) => point.bpm !== null).map((point) => point.bpm);
  tracePlot.setAttribute(
    "aria-label",
    known.length ? `Heart rate between ${Math.min(...known).toFixed(0)} and ${Math.max(...known).toFixed(0)} bpm` : "No heart rate yet",
  );
  const low = Math.floor(Math.min(60, ...known) / 10) * 10 - 5, high = Math.ceil(Math.max(90, ...known) / 10) * 10 + 5;
  const y = (bpm) => ((high - bpm) / (high - low)) * height;
  context.strokeStyle = colour("--line");
  context.fillStyle = colour("--quiet");
  context.lineWidth = ratio;
  for (let bpm = Math.ceil(low / 20) * 20; bpm <= high; bpm += 20) {
    context.beginPath();
    context.moveTo(30 * ratio, y(bpm));
    context.lineTo(width, y(bpm));
    context.stroke();
    context.fillText(String(bpm), 4 * ratio, y(bpm) + 4 * ratio);
  }
  if (!trace.length) return;
  const end = trace[trace.length - 1].time_s, begin = Math.min(trace[0].time_s, end - 30);
  const x = (time) => 32 * ratio + ((time - begin) / (end - begin)) * (width - 36 * ratio);
  context.strokeStyle = context.fillStyle = colour("--good");
  context.lineWidth = 2 * ratio;
  context.beginPath();
  let down = false;
  for (const point of trace) {
    if (point.bpm !== null) {
      context[down ? "lineTo" : "moveTo"](x(point.time_s), y(point.bpm));
      context.fillRect(x(point.time_s) - 1.5 * ratio, y(point.bpm) - 1.5 * ratio, 3 * ratio, 3 * ratio);
    }
    down = point.bpm !== null;
  }
  context.stroke();
}

// --- recording: in this page alone, until it is downloaded

function toggleRecording() {
  if (recording) {
    recording.ended = new Date().toISOString();
    saved = recording;
    recording = null;
  } else {
    recording = { program: "facepulse live", began: new Date().toISOString(), readings: [], waveform: [], times_s: [] };
    saved = null;
  }
  record.textContent = recording ? "Stop recording" : "Record";
  record.setAttribute("aria-pressed", String(Boolean(recording)));
  byId("csv").disabled = byId("json").disabled = !saved || !saved.readings.length;
  byId("recorded").textContent = recording
    ? "Recording readings and pulse wave, in this page alone."
    : `${saved.readings.length} readings recorded. They are gone when the page is closed, unless you download them.`;
}

let saved = null;

function keep(reading) {
  const { waveform, times_s: times, delay_ms: _, ...row } = reading;
  recording.readings.push(row);
  const last = recording.times_s.length ? recording.times_s[recording.times_s.length - 1] : -Infinity;
  // The newest half second of a waveform is the poorest, and comes again better in the next reading.
  const until = reading.time_s - 0.5;
  times.forEach((time, index) => {
    if (time > last && time <= until) {
      recording.times_s.push(time);
      recording.waveform.push(waveform[index]);
    }
  });
}

function download(content, type, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = `facepulse-${saved.began.slice(0, 19).replaceAll(":", "-")}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function asCsv() {
  const rows = saved.readings.map((row) => [row.time_s, row.bpm ?? "", row.quality, row.state, row.method, row.window_s].join(","));
  return ["time_s,bpm,quality,state,method,window_s", ...rows, ""].join("\n");
}

// --- what people do

start.addEventListener("click", () => (stream ? end() : begin()));
record.addEventListener("click", toggleRecording);
byId("csv").addEventListener("click", () => download(asCsv(), "text/csv", "csv"));
byId("json").addEventListener("click", () => download(JSON.stringify(saved), "application/json", "json"));
document.addEventListener("visibilitychange", () => {
  if (!stream) return;
  if (document.hidden) say("Paused while this page is hidden.");
  else say("Looking for your face.");
});
setInterval(() => {
  // A heart rate that nobody confirms any more is none.
  if (!stream || document.hidden || !socket || socket.readyState !== WebSocket.OPEN) return;
  if (performance.now() - heardMs < SILENT_MS) return;
  show(null);
  say("No pictures from the camera, or no answer to them. Is the camera covered or switched off?");
}, 1000);
window.addEventListener("resize", () => { drawBox(); drawWave(); drawTrace(); });

// Live page: sends frames of the camera to facepulse on this computer and shows its readings.
"use strict";

const LONG = 320, SHORT = 240; // pixels of a frame: enough for a face, and little enough for a socket
const HEADER = 16, MAGIC = 0x31505046; // "FPP1"; see message.py
const MAX_BUFFERED_BYTES = 3e6; // of the socket; frames are skipped while it holds more
const TRACE_S = 180;
const ANNOUNCE_EVERY_MS = 10000; // for screen readers
const TIMEOUT_MS = 4000; // without an answer

const byId = (id) => document.getElementById(id);
const video = byId("video"), overlay = byId("overlay"), state = byId("state"), adviceList = byId("advice");
const start = byId("start"), record = byId("record"), waveformPlot = byId("wave"), tracePlot = byId("trace");
const frame = document.createElement("canvas");
const pixels = frame.getContext("2d", { willReadFrequently: true });

let stream = null; // of the camera, while it is on
let socket = null;
let retryMs = 500;
let originMs = null; // capture time of the first frame
let latest = null; // latest reading
let pending = 0; // handle of the callback for the next frame
let answeredMs = 0; // time of the last answer of facepulse
let announcedMs = -Infinity;
let trace = []; // {time_s, bpm}
let recording = null; // {readings, waveform}

function setState(text) {
  if (state.textContent !== text) state.textContent = text;
}

function setAdvice(lines) {
  if ([...adviceList.children].map((item) => item.textContent).join("\n") === lines.join("\n")) return;
  adviceList.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}

// --- camera

const REFUSED = {
  NotAllowedError: "Access to the camera was denied. Allow it for this page, with the camera symbol in the address bar, and press Start.",
  NotFoundError: "No camera found. Plug one in, and press Start.",
  NotReadableError: "Another program is using the camera. Close it, and press Start.",
};

async function begin() {
  if (!navigator.mediaDevices || !video.requestVideoFrameCallback) {
    setState(navigator.mediaDevices
      ? "This browser does not provide the capture times of frames. Use a newer one."
      : "Browsers allow the camera only on pages of this computer or with https.");
    return;
  }
  start.disabled = true;
  setState("Waiting for the camera.");
  setAdvice([]);
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: "user" },
    });
  } catch (error) {
    setState(REFUSED[error.name] || `The camera did not start (${error.name}). Check it, and press Start.`);
    start.disabled = false;
    return;
  }
  stream.getVideoTracks()[0].addEventListener("ended", () => {
    end();
    setState("The camera was disconnected. Press Start when it is available again.");
  });
  video.srcObject = stream;
  await video.play().catch(() => {});
  byId("placeholder").hidden = true;
  start.textContent = "Stop";
  start.disabled = false;
  record.disabled = false;
  originMs = null;
  setState("Looking for your face.");
  connect();
  pending = video.requestVideoFrameCallback(take);
}

function end() {
  if (recording) toggleRecording();
  video.cancelVideoFrameCallback(pending); // otherwise it would stay registered after the camera is off
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  video.srcObject = null;
  if (socket) socket.close();
  socket = null;
  byId("placeholder").hidden = false;
  start.textContent = "Start";
  record.disabled = true;
  show(null);
  setState("Stopped. Press Start, and look at the camera.");
}

function take(now, metadata) {
  if (!stream) return;
  pending = video.requestVideoFrameCallback(take);
  if (!socket || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
  // Time of capture instead of display; not every browser provides it.
  const capturedMs = metadata.captureTime || metadata.expectedDisplayTime || now;
  originMs = originMs === null ? capturedMs : originMs;
  const upright = video.videoHeight > video.videoWidth;
  const [width, height] = upright ? [SHORT, LONG] : [LONG, SHORT];
  if (frame.width !== width || frame.height !== height) [frame.width, frame.height] = [width, height];
  // The centre of the camera image, cropped to the aspect ratio of the message.
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

const UNANSWERED = "facepulse does not answer. Check that it is still running and, behind a proxy, that WebSockets are passed on. Trying again.";

function connect() {
  const address = new URL(`stream${location.search}`, document.baseURI); // relative: a proxy may serve the page under a path
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(address);
  socket = opened;
  opened.addEventListener("open", () => {
    answeredMs = performance.now();
    setState("Looking for your face.");
  });
  opened.addEventListener("message", (event) => {
    retryMs = 500;
    answeredMs = performance.now();
    show(JSON.parse(event.data));
  });
  opened.addEventListener("close", (event) => {
    if (socket !== opened || !stream) return;
    show(null);
    const reason = event.reason;
    setState(reason ? `facepulse closed the connection: ${reason}. Trying again.` : UNANSWERED);
    setTimeout(() => { if (socket === opened && stream) connect(); }, retryMs);
    retryMs = Math.min(2 * retryMs, 4000);
  });
}

const STATES = {
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
  drawWaveform();
  if (!reading) {
    setAdvice([]);
    byId("delay").textContent = "";
    return;
  }
  if (!document.hidden) setState(STATES[reading.state](reading));
  setAdvice(reading.advice);
  byId("delay").textContent = `${reading.bpm === null ? "" : `method ${reading.method}, `}${reading.delay_ms.toFixed(0)} ms after the newest frame`;
  if (trace.length && reading.time_s < trace[trace.length - 1].time_s) trace = [];
  trace.push({ time_s: reading.time_s, bpm });
  trace = trace.filter((point) => point.time_s > reading.time_s - TRACE_S);
  drawTrace();
  if (performance.now() - announcedMs > ANNOUNCE_EVERY_MS) {
    announcedMs = performance.now();
    byId("spoken").textContent = bpm === null ? state.textContent : `${bpm.toFixed(0)} beats per minute`;
  }
  if (recording) keep(reading);
}

// --- drawing

function color(name) {
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
  const scale = Math.max(width / frame.width, height / frame.height);
  const [left, top] = [(width - frame.width * scale) / 2, (height - frame.height * scale) / 2];
  context.lineWidth = 3 * ratio;
  context.strokeStyle = latest.state === "measured" ? "#3fb950" : "#ffd33d";
  context.strokeRect(left + x * scale, top + y * scale, w * scale, h * scale);
}

function drawWaveform() {
  const { context, width, height, ratio } = sized(waveformPlot);
  const waveform = latest ? latest.waveform : [];
  waveformPlot.setAttribute("aria-label", waveform.length ? "Pulse waveform of the last seconds" : "No pulse waveform yet");
  if (!waveform.length) return;
  const top = Math.max(...waveform), bottom = Math.min(...waveform), pad = 6 * ratio;
  context.strokeStyle = latest.state === "measured" ? color("--accent") : color("--quiet");
  context.beginPath();
  waveform.forEach((value, index) => {
    context.lineTo((index / (waveform.length - 1)) * width, pad + ((top - value) / (top - bottom || 1)) * (height - 2 * pad));
  });
  context.stroke();
}

function drawTrace() {
  const { context, width, height, ratio } = sized(tracePlot);
  const rates = trace.filter((point) => point.bpm !== null).map((point) => point.bpm);
  tracePlot.setAttribute(
    "aria-label",
    rates.length ? `Heart rate between ${Math.min(...rates).toFixed(0)} and ${Math.max(...rates).toFixed(0)} bpm` : "No heart rate yet",
  );
  const low = Math.floor(Math.min(60, ...rates) / 10) * 10 - 5, high = Math.ceil(Math.max(90, ...rates) / 10) * 10 + 5;
  const y = (bpm) => ((high - bpm) / (high - low)) * height;
  context.strokeStyle = color("--line");
  context.fillStyle = color("--quiet");
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
  context.strokeStyle = context.fillStyle = color("--good");
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

// --- recording: stays in this page until it is downloaded

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
    ? "Recording readings and waveform, in this page only."
    : `${saved.readings.length} readings recorded. They are lost when the page is closed, unless you download them.`;
}

let saved = null;

function keep(reading) {
  const { waveform, times_s: times, delay_ms: _, ...row } = reading;
  recording.readings.push(row);
  const last = recording.times_s.length ? recording.times_s[recording.times_s.length - 1] : -Infinity;
  // The newest half second of a waveform has the largest error; the next reading contains it with a smaller one.
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

// --- user actions

if (!["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) {
  byId("privacy").textContent = `Frames are sent to facepulse at ${location.host}, processed there and then discarded: nothing is stored.`;
}

start.addEventListener("click", () => (stream ? end() : begin()));
record.addEventListener("click", toggleRecording);
byId("csv").addEventListener("click", () => download(asCsv(), "text/csv", "csv"));
byId("json").addEventListener("click", () => download(JSON.stringify(saved), "application/json", "json"));
document.addEventListener("visibilitychange", () => {
  if (!stream) return;
  if (document.hidden) setState("Paused while this page is hidden.");
  else setState("Looking for your face.");
});
setInterval(() => {
  // Without new readings, the heart rate is out of date.
  if (!stream || document.hidden || !socket || socket.readyState !== WebSocket.OPEN) return;
  if (performance.now() - answeredMs < TIMEOUT_MS) return;
  show(null);
  setState("No frames from the camera, or no answer from facepulse. Check that the camera is on and not covered.");
}, 1000);
window.addEventListener("resize", () => { drawBox(); drawWaveform(); drawTrace(); });

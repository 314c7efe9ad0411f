// Pictures as the browser holds them: shown, made smaller where the server's limits ask for it, made tiny for the history.

import { Failure } from "./server.js";
import { settings } from "./words.js";

const AROUND = 4096; // bytes of a request besides its picture
const THUMBNAIL = 192;

const drawn = (image, width, height) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))];
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // as the server lays see-through pictures over white
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
};
const encoded = (canvas, type, quality) => new Promise((resolve) => { canvas.toBlob(resolve, type, quality); });

// The picture as an element, upright; null where the browser can't decode the format, which the server may.
export const load = async (url) => {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
};

// What is sent: the file as it is, unless it is larger than the server takes. Size is null for the file as it is.
export const fit = async (file, image) => {
  const most = settings.limits.bytes - AROUND;
  const pixels = image ? image.naturalWidth * image.naturalHeight : 0;
  let scale = Math.min(1, Math.sqrt(settings.limits.pixels / Math.max(pixels, 1)));
  if (!image || (file.size <= most && scale === 1)) return { file, size: null };
  for (; scale * Math.max(image.naturalWidth, image.naturalHeight) >= 64; scale *= 0.7) {
    const canvas = drawn(image, Math.floor(image.naturalWidth * scale), Math.floor(image.naturalHeight * scale));
    const smaller = await encoded(canvas, "image/jpeg", 0.92);
    if (smaller && smaller.size <= most) return { file: smaller, size: [canvas.width, canvas.height] };
  }
  return { file, size: null };
};

export const thumbnail = async (image) => {
  if (!image) return null;
  const scale = Math.min(1, THUMBNAIL / Math.max(image.naturalWidth, image.naturalHeight));
  return encoded(drawn(image, image.naturalWidth * scale, image.naturalHeight * scale), "image/webp", 0.8);
};

// A folder that was dropped, or a file that went away, can't be read; better to know before it is sent.
export const requireReadable = async (file) => {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Failure("unreadable");
  }
};

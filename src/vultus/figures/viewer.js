// Draws coloured faces that can be turned and read; all data lie in the page. No library, no network.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const CLAY = [190, 186, 182];
const POINT_SHARE = 1.5; // diameter of a point, in distances between neighbours
const FACING = 0.05; // a vertex can be pointed at where its normal leans this much to the viewer

async function readArrays() {
  const packed = Uint8Array.from(atob(byId("arrays").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const KINDS = { f4: Float32Array, u4: Uint32Array, u2: Uint16Array, u1: Uint8Array, i2: Int16Array, i1: Int8Array };

function start(buffer) {
  const array = (ref) => (ref ? new KINDS[ref.kind](buffer, ref.at, ref.count) : null);
  const places = (ref) => {
    const whole = array(ref), out = new Float32Array(whole.length);
    for (let i = 0; i < whole.length; i++) out[i] = whole[i] / 32767 * 4; // half pictures
    return out;
  };
  const colours = array(data.colours);
  const rest = places(data.mesh.places), triangles = array(data.mesh.triangles);
  const count = rest.length / 3;
  const givenNormals = array(data.mesh.normals);
  const usable = new Uint8Array(count).fill(triangles ? 0 : 1);
  if (triangles) for (const v of triangles) usable[v] = 1;

  const canvas = byId("face"), stage = byId("stage");
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (!gl) { stage.textContent = "This browser cannot draw the face: it has no WebGL 2."; return; }

  const { bufferOf, turnAt, zoomAt, dotAt, dotsAt } = prepare(gl);

  function normalsOf(at) {
    const out = new Float32Array(at.length);
    if (!triangles) {
      for (let i = 0; i < at.length; i++) out[i] = givenNormals[i] / 127;
      return out;
    }
    for (let t = 0; t < triangles.length; t += 3) {
      const a = 3 * triangles[t], b = 3 * triangles[t + 1], c = 3 * triangles[t + 2];
      const ux = at[b] - at[a], uy = at[b + 1] - at[a + 1], uz = at[b + 2] - at[a + 2];
      const vx = at[c] - at[a], vy = at[c + 1] - at[a + 1], vz = at[c + 2] - at[a + 2];
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      for (const i of [a, b, c]) { out[i] += x; out[i + 1] += y; out[i + 2] += z; }
    }
    for (let i = 0; i < out.length; i += 3) {
      const length = Math.hypot(out[i], out[i + 1], out[i + 2]) || 1;
      out[i] /= length; out[i + 1] /= length; out[i + 2] /= length;
    }
    return out;
  }

  const restNormals = normalsOf(rest);
  if (triangles) {
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, triangles, gl.STATIC_DRAW);
  }
  const panes = data.panes.map((label) => {
    const name = document.createElement("div");
    name.className = "name";
    name.textContent = label;
    stage.append(name);
    return { label, name, places: bufferOf("place", 3, gl.FLOAT, false), normals: bufferOf("normal", 3, gl.FLOAT, false),
      colours: bufferOf("colour", 3, gl.UNSIGNED_BYTE, true), box: [0, 0, 1, 1], at: rest, facing: restNormals };
  });

  // State ------------------------------------------------------------------------------------------------------------

  let layer = data.first, yaw = 0, pitch = 0, closer = 1;
  const turn = () => { // column by column, as WebGL wants it
    const a = Math.cos(yaw), b = Math.sin(yaw), c = Math.cos(pitch), d = Math.sin(pitch);
    return [a, d * b, -c * b, 0, c, d, b, -d * a, c * a];
  };

  function show(number) {
    layer = (number + data.layers.length) % data.layers.length;
    byId("layer").value = layer;
    const heat = byId("heat").checked;
    data.layers[layer].fields.forEach((field, i) => {
      const pane = panes[i], values = array(field.values), top = field.values.kind === "u1" ? 255 : 65535;
      const rgb = new Uint8Array(3 * count);
      for (let v = 0; v < count; v++) {
        const from = 3 * Math.round(255 * values[v] / top);
        for (let k = 0; k < 3; k++) rgb[3 * v + k] = heat ? colours[from + k] : CLAY[k];
      }
      pane.read = (v) => values[v] / top * field.high;
      pane.at = field.places ? places(field.places) : rest;
      pane.facing = field.places ? normalsOf(pane.at) : restNormals;
      pane.places.fill(pane.at);
      pane.normals.fill(pane.facing);
      pane.colours.fill(rgb);
    });
    const high = Math.max(...data.layers[layer].fields.map((field) => field.high));
    byId("high").textContent = `${high.toPrecision(3).replace(/\.?0+$/, "")} ${data.unit}`;
    maps.forEach((map) => map.draw());
    draw();
  }

  function layOut() {
    const width = stage.clientWidth, high = Math.min(620, Math.max(360, window.innerHeight - 190));
    const ratio = data.mesh.aspect;
    let columns = 1, best = 0;
    for (let n = 1; n <= panes.length; n++) {
      const tall = Math.min(high / Math.ceil(panes.length / n) - 20, width / n / ratio);
      if (tall > best * 1.02) { best = tall; columns = n; }
    }
    const rows = Math.ceil(panes.length / columns), scale = window.devicePixelRatio || 1;
    stage.style.height = `${high}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(high * scale);
    panes.forEach((pane, i) => {
      const w = width / columns, h = high / rows;
      pane.box = [(i % columns) * w, Math.floor(i / columns) * h + 20, w, h - 20];
      Object.assign(pane.name.style, { left: `${pane.box[0]}px`, top: `${pane.box[1] - 20}px`, width: `${w}px` });
    });
    draw();
  }

  const zoomOf = (box) => { // model units are half a picture high
    const half = Math.min(box[3] / 2, box[2] / 2 / data.mesh.aspect) * closer;
    return [half / (box[2] / 2), half / (box[3] / 2), half];
  };

  function draw() {
    const scale = window.devicePixelRatio || 1;
    gl.disable(gl.SCISSOR_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    gl.uniformMatrix3fv(turnAt, false, turn());
    gl.uniform1i(dotsAt, triangles ? 0 : 1);
    for (const pane of panes) {
      const [x, y, w, h] = pane.box, bottom = canvas.height - (y + h) * scale;
      gl.viewport(x * scale, bottom, w * scale, h * scale);
      gl.scissor(x * scale, bottom, w * scale, h * scale);
      const [zx, zy, half] = zoomOf(pane.box);
      gl.uniform2f(zoomAt, zx, zy);
      gl.uniform1f(dotAt, Math.max(2, POINT_SHARE * data.mesh.spacing * half * scale));
      for (const part of [pane.places, pane.normals, pane.colours]) part.use();
      if (triangles) gl.drawElements(gl.TRIANGLES, triangles.length, gl.UNSIGNED_INT, 0);
      else gl.drawArrays(gl.POINTS, 0, count);
    }
  }

  // Pointing ---------------------------------------------------------------------------------------------------------

  function under(event) { // the pane and the nearest vertex that faces the viewer, within 12 pixels
    const frame = canvas.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    const pane = panes.find(({ box }) => x >= box[0] && x < box[0] + box[2] && y >= box[1] && y < box[1] + box[3]);
    if (!pane) return null;
    const m = turn(), half = zoomOf(pane.box)[2], [cx, cy] = [pane.box[0] + pane.box[2] / 2, pane.box[1] + pane.box[3] / 2];
    const near = [];
    for (let v = 0; v < count; v++) {
      if (!usable[v]) continue;
      const p = 3 * v, at = pane.at, n = pane.facing;
      const dx = cx + half * (m[0] * at[p] + m[3] * at[p + 1] + m[6] * at[p + 2]) - x;
      const dy = cy - half * (m[1] * at[p] + m[4] * at[p + 1] + m[7] * at[p + 2]) - y;
      const away = dx * dx + dy * dy;
      if (away > 144 || m[2] * n[p] + m[5] * n[p + 1] + m[8] * n[p + 2] < FACING) continue;
      near.push([v, away, m[2] * at[p] + m[5] * at[p + 1] + m[8] * at[p + 2]]);
    }
    if (!near.length) return null;
    const front = Math.max(...near.map((hit) => hit[2])); // what lies far behind is hidden
    const hits = near.filter((hit) => hit[2] > front - 0.12).sort((a, b) => a[1] - b[1]);
    return { pane, vertex: hits[0][0] };
  }

  const tip = byId("tip");
  function say(event, text) {
    tip.style.display = text ? "block" : "none";
    tip.textContent = text || "";
    const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 6);
    Object.assign(tip.style, { left: `${left}px`, top: `${event.clientY + 14}px` });
  }
  const number = (value) => (value === 0 ? "0" : Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toPrecision(3));
  const regions = array(data.regions);

  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: 0 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      const dx = event.clientX - held.x, dy = event.clientY - held.y;
      yaw += dx * 0.008;
      pitch = Math.max(-1.5, Math.min(1.5, pitch + dy * 0.008));
      held = { x: event.clientX, y: event.clientY, moved: held.moved + Math.abs(dx) + Math.abs(dy) };
      say(event, "");
      draw();
      return;
    }
    const hit = under(event);
    if (!hit) return say(event, "");
    const region = regions && regions[hit.vertex] < data.layers.length ? data.layers[regions[hit.vertex]].label + "\n" : "";
    say(event, `${region}${number(hit.pane.read(hit.vertex))} ${data.unit}\nvertex ${hit.vertex}`);
  });
  canvas.addEventListener("pointerup", (event) => {
    const still = held && held.moved < 4, hit = still && regions ? under(event) : null;
    held = null;
    if (hit && regions[hit.vertex] < data.layers.length) show(regions[hit.vertex]);
  });
  canvas.addEventListener("pointerleave", (event) => say(event, ""));
  canvas.addEventListener("dblclick", () => { yaw = pitch = 0; closer = 1; draw(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    closer = Math.max(0.5, Math.min(12, closer * Math.exp(-event.deltaY * 0.001)));
    draw();
  }, { passive: false });

  // Maps of points beside the face -----------------------------------------------------------------------------------

  const maps = (data.maps || []).map((map) => {
    const figure = document.createElement("figure"), paper = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    caption.textContent = map.title;
    paper.width = paper.height = 400;
    figure.append(caption, paper);
    byId("maps").append(figure);
    const pen = paper.getContext("2d");
    const spot = (i) => [20 + 360 * map.x[i], 380 - 360 * map.y[i]];
    const drawMap = () => {
      pen.clearRect(0, 0, 400, 400);
      for (const chosen of [false, true]) map.x.forEach((_, i) => {
        if ((map.layer[i] === layer) !== chosen) return;
        pen.beginPath();
        pen.arc(...spot(i), chosen ? 6 : 4, 0, 7);
        pen.fillStyle = map.colour[i];
        pen.fill();
        pen.lineWidth = chosen ? 2 : 0.5;
        pen.strokeStyle = chosen ? "#000" : "#fff";
        pen.stroke();
      });
    };
    const nearest = (event) => {
      const x = event.offsetX, y = event.offsetY;
      let best = -1, least = 144;
      map.x.forEach((_, i) => {
        const [px, py] = spot(i), away = (px - x) ** 2 + (py - y) ** 2;
        if (away < least) { least = away; best = i; }
      });
      return best;
    };
    paper.addEventListener("pointermove", (event) => {
      const i = nearest(event);
      say(event, i < 0 ? "" : map.label[i]);
    });
    paper.addEventListener("pointerleave", (event) => say(event, ""));
    paper.addEventListener("click", (event) => {
      const i = nearest(event);
      if (i >= 0) show(map.layer[i]);
    });
    return { draw: drawMap };
  });

  // Controls ---------------------------------------------------------------------------------------------------------

  byId("what").textContent = data.choose;
  data.layers.forEach(({ label }, i) => byId("layer").append(new Option(label, i)));
  byId("chooser").style.display = data.layers.length > 1 ? "" : "none";
  byId("layer").addEventListener("change", (event) => show(Number(event.target.value)));
  byId("back").addEventListener("click", () => show(layer - 1));
  byId("next").addEventListener("click", () => show(layer + 1));
  byId("heat").addEventListener("change", () => show(layer));
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "SELECT") return;
    if (event.key === "ArrowRight") show(layer + 1);
    if (event.key === "ArrowLeft") show(layer - 1);
  });
  const scale = byId("scale").getContext("2d");
  for (let i = 0; i < 256; i++) {
    scale.fillStyle = `rgb(${colours[3 * i]}, ${colours[3 * i + 1]}, ${colours[3 * i + 2]})`;
    scale.fillRect(i, 0, 1, 1);
  }
  byId("heat").checked = data.heat;
  window.addEventListener("resize", layOut);
  show(layer);
  layOut();
  document.body.dataset.ready = "yes";
}

readArrays().then(start).catch((error) => { byId("stage").textContent = `This page cannot be shown: ${error}`; });

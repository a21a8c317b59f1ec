// What the viewer needs of WebGL 2: one program that lights coloured triangles or dots, and buffers for its inputs.
"use strict";

function prepare(gl) {
  const shader = (kind, text) => {
    const made = gl.createShader(kind);
    gl.shaderSource(made, text);
    gl.compileShader(made);
    if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made));
    return made;
  };
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `#version 300 es
    in vec3 place; in vec3 normal; in vec3 colour;
    uniform mat3 turn; uniform vec2 zoom; uniform float dot_size;
    out vec3 n; out vec3 c;
    void main() {
      vec3 p = turn * place; n = turn * normal; c = colour;
      gl_Position = vec4(p.xy * zoom, -p.z * 0.25, 1.0); gl_PointSize = dot_size;
    }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `#version 300 es
    precision highp float;
    in vec3 n; in vec3 c; uniform bool dots; out vec4 pixel;
    void main() {
      if (dots && length(gl_PointCoord - 0.5) > 0.5) discard;
      vec3 m = normalize(n); if (m.z < 0.0) m = -m;
      float a = max(dot(m, normalize(vec3(-0.35, 0.40, 1.0))), 0.0);
      float b = max(dot(m, normalize(vec3(0.5, -0.1, 0.9))), 0.0);
      vec3 light = pow(c, vec3(2.2)) * (0.52 + 0.54 * a * a + 0.08 * b * b);
      pixel = vec4(pow(min(light, 1.0), vec3(1.0 / 2.2)), 1.0);
    }`));
  gl.linkProgram(program);
  gl.useProgram(program);
  const uniform = (name) => gl.getUniformLocation(program, name);
  gl.enable(gl.DEPTH_TEST);
  gl.clearColor(1, 1, 1, 1);
  const bufferOf = (name, size, kind, normalized) => {
    const made = gl.createBuffer(), at = gl.getAttribLocation(program, name);
    return { fill: (values) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, made);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    }, use: () => {
      gl.bindBuffer(gl.ARRAY_BUFFER, made);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, kind, normalized, 0, 0);
    } };
  };
  return { bufferOf, turnAt: uniform("turn"), zoomAt: uniform("zoom"), dotAt: uniform("dot_size"), dotsAt: uniform("dots") };
}

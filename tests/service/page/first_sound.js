// Notes as `soundAt` when an AnalyserNode beside the sound device heard the first sound of its last second, and as
// `soundTime` the same by the device's own clock. The device is
// `device`; where a test has a `capture`, it is given the node and what connects it. Benchmarks use this script, too.
window.soundAt = null;
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) listen(this);
  return connect.call(this, target, ...rest);
};
function listen(node) {
  window.device = node.context;
  const analyser = new AnalyserNode(node.context, { fftSize: 32768 });
  connect.call(node, analyser);
  const levels = new Float32Array(32768);
  setInterval(() => {
    analyser.getFloatTimeDomainData(levels);
    const first = levels.findIndex((level) => Math.abs(level) > 1e-4);
    if (window.soundAt === null && first >= 0) {
      const ago = (1000 * (levels.length - first)) / node.context.sampleRate;
      window.soundAt = performance.now() - ago;
      window.soundTime = 1000 * node.context.currentTime - ago;
    }
  }, 10);
  window.capture?.(node, connect);
}

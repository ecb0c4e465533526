// Browsers start no worker from a file on disk, and without its worker the site could not be searched there. Where a page
// was opened from disk, a worker is therefore a hidden frame that runs the same script.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      // What the script calls in a worker; it awaits importScripts.
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inside.importScripts = (...urls) => urls.reduce((before, one) => before.then(() => this.load(one)), Promise.resolve());
      this.ready = this.load(new URL(url, location.href).href);
    }

    load(url) {
      const script = Object.assign(this.inside.document.createElement("script"), { src: url });
      return new Promise((resolve, reject) => {
        Object.assign(script, { onload: resolve, onerror: () => reject(new Error(`${url} could not be loaded`)) });
        this.inside.document.body.append(script);
      });
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
}

// One socket: bytes in, bytes out, and how it ended.

/** What a socket tells its client. After `lost` it says nothing more. */
export interface WireEvents {
  open(): void;
  data(bytes: Uint8Array): void;
  /** `code` is that of WebSocket, if there is one. */
  lost(reason: string, code?: number): void;
}

/** A socket. It is thrown away when it is lost; the client makes another. */
export interface Wire {
  write(bytes: Uint8Array<ArrayBuffer>): void;
  /** Bytes that have not left. */
  readonly buffered: number;
  /** Ends in order: all that was written leaves first. */
  end(): void;
  /** Takes it for lost. */
  cut(reason: string): void;
}

/** Makes a socket to an address. */
export type Dial = (url: string, events: WireEvents) => Wire;

/** The part of a WebSocket that is used, so that another implementation may be passed in. */
export type WebSocketClass = new (url: string, protocols?: string[]) => WebSocket;

/** Makes sockets that speak WebSocket. */
export function webSockets(make: WebSocketClass, protocols?: string[]): Dial {
  return (url, events) => {
    const socket = new make(url, protocols);
    let isLost = false;
    const lost = (reason: string, code?: number) => {
      if (isLost) return;
      isLost = true;
      events.lost(reason, code);
    };
    socket.binaryType = "arraybuffer";
    socket.onopen = () => isLost || events.open();
    socket.onmessage = ({ data }) => {
      if (!isLost && data instanceof ArrayBuffer) events.data(new Uint8Array(data));
    };
    // Before Node 22, a failed attempt has an error alone; elsewhere the close that follows at once says more.
    socket.onerror = () => void setTimeout(() => lost("the socket has failed"));
    socket.onclose = ({ code, reason }) => lost(reason || `the socket has closed with the code ${code}`, code);
    return {
      write: (bytes) => socket.send(bytes),
      get buffered() {
        return socket.bufferedAmount;
      },
      end: () => socket.close(1000),
      cut(reason) {
        // A close handshake may take long, if nobody is there.
        socket.close();
        lost(reason);
      },
    };
  };
}

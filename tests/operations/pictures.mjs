// The pictures of docs/operations.md: a game with some players, watched for three minutes.

const NAMES = "ann bob chen dara emil fatima goran hana ivan jun kofi lena mei nils olga pedro qi rosa sven tariq uma viktor wei xenia yusuf zoe".split(" ");
const [ECHO, LOGIN, JOIN, ASK, SLEEP] = [1, 20, 21, 22, 23];

export async function take({ browser, plane, client, frame, run, until, folder, write }) {
  const players = [];
  for (let at = 0; at < 156; at++) {
    const name = NAMES[at % NAMES.length] + (at < NAMES.length ? "" : `-${Math.floor(at / NAMES.length)}`);
    players.push(await client(frame(LOGIN, name), frame(JOIN, "lobby"), frame(JOIN, `room ${at % 12}`)));
  }
  const idle = await Promise.all(Array.from({ length: 40 }, () => client(frame(ECHO, "I"))));
  await browser.call("Emulation.setDeviceMetricsOverride", { width: 1320, height: 900, deviceScaleFactor: 1, mobile: false });
  await browser.open(plane);
  let turn = 0;
  const beat = setInterval(() => {
    turn++;
    const busy = 1.2 + Math.sin(turn / 90) + 0.3 * Math.sin(turn / 17);
    players.slice(0, 120).forEach((player, at) => (turn + at) % 5 || player.write(Buffer.concat(Array(Math.ceil(busy * 3)).fill(frame(ECHO, "x".repeat(40))))));
    if (turn % 8 === 0) players[120 + (turn / 8) % 20].write(frame(SLEEP, String.fromCharCode(12 + (turn % 60))));
  }, 50);
  const joining = setInterval(async () => idle.push(await client(frame(ECHO, "I"))), 2500);
  for (const [at, wait] of [[140, 0], [141, 40], [142, 80], [143, 120], [144, 165]]) setTimeout(() => players[at].write(frame(ASK)), wait * 1000);
  setTimeout(() => players[145].write(Buffer.from([255, 255, 255, 255, 0, 0, 0, 0])), 60_000);
  await new Promise((resolve) => setTimeout(resolve, 182_000));
  for (const name of ["light", "dark"]) {
    await browser.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: name }] });
    await until(() => run(`document.querySelectorAll("#rows tr").length > 20`));
    write(`${folder}/live-${name}.png`, await browser.picture());
  }
  await run(`document.querySelector("#rows button.link").click()`);
  await until(() => run(`!document.getElementById("detail").hidden`));
  write(`${folder}/live-detail.png`, await browser.picture());
  [beat, joining].forEach(clearInterval);
  [...players, ...idle].forEach((player) => player.destroy());
}

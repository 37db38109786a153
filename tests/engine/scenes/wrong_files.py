# ruff: noqa: E501 - each message stands on one line, as it is printed
"""Scene files with one mistake each, and the exact message that it must give.

(what is wrong, body after the common head or whole file if it begins with `%`, line:column: text)
"""

TITLE = "%title: x\n"
PROMPTS = "prompts: {a: b}\n"
WHOLE = TITLE + PROMPTS
EFFECTS = (
    "prompt, inject, scale, sound, caption, title, fade, screenshot, record, save, load, set, go, "
    "anchor, cut, jump, end"
)

WRONG: list[tuple[str, str, str]] = [
    # ---- YAML itself
    ("empty", "%", "1:1: the file is empty; `helios new scene NAME` writes one to start from"),
    (
        "a list",
        "%- a\n- b\n",
        "1:1: a scene is a list of `key: value` lines, and this is something else",
    ),
    (
        "open bracket",
        "seed: [1\n",
        "6:1: this is not YAML: expected ',' or ']', but got '<stream end>'; put text that holds ':', '{' or '[' in quotes, or close the bracket",
    ),
    (
        "tab",
        "hints:\n\t- a\n",
        "6:1: this is not YAML: found character '\\t' that cannot start any token; indent with spaces instead of tabs",
    ),
    (
        "bad indent",
        "seed: 1\n hud: true\n",
        "6:5: this is not YAML: mapping values are not allowed here; put text that holds ': ' in quotes, or give all keys of one thing the same indentation",
    ),
    (
        "control character",
        "author: \x01\n",
        "5:9: this is not YAML: special characters are not allowed; delete U+0001 here",
    ),
    (
        "alias",
        "author: *who\n",
        "5:9: aliases are not read here; name a value under `vars` instead",
    ),
    (
        "anchor",
        "author: &who me\n",
        "5:9: anchors are not read here; name a value under `vars` instead",
    ),
    (
        "merge key",
        "speed: {<<: {walk: 1}}\n",
        "5:9: speed.<<: no such key here; there is run, walk",
    ),
    (
        "python tag",
        "author: !!python/object/apply:os.system [ls]\n",
        "5:9: tags such as 'tag:yaml.org,2002:python/object/apply:os.system' are not read here; put text that begins with ! in quotes",
    ),
    (
        "own tag",
        "author: !me you\n",
        "5:9: tags such as '!me' are not read here; put text that begins with ! in quotes",
    ),
    (
        "quote that stays open",
        'author: "me\nseed: 1\n',
        "5:9: this is not YAML: found unexpected end of stream; this quote is never closed",
    ),
    (
        "apostrophe",
        "author: 'it's me'\n",
        "5:13: this is not YAML: expected <block end>, but found '<scalar>'; in single quotes, write a ' twice",
    ),
    (
        "percent sign",
        "author: %me\n",
        "5:9: this is not YAML: found character '%' that cannot start any token; put the text in quotes",
    ),
    (
        "list out of line",
        "timeline:\n  - at: 1s\n   end: true\n",
        "7:4: this is not YAML: expected <block end>, but found '<block mapping start>'; give all keys of one thing the same indentation",
    ),
    (
        "no space after a colon",
        "speed: {walk:2}\n",
        "5:9: speed.walk:2: no such key here; put a space after its ':'",
    ),
    ("second document", "---\ntitle: y\n", "5:1: a second document; a file holds one scene"),
    ("doubled key", "seed: 1\nseed: 2\n", "6:1: 'seed' is here twice"),
    ("doubled prompt", "vars: {a: 1, a: 2}\n", "5:14: 'a' is here twice"),
    ("key that is a list", "[a, b]: 1\n", "5:1: a key must be a single word"),
    ("too deep", "vars: " + "[" * 20 + "]" * 20 + "\n", "5:18: nested deeper than 12"),
    # ---- keys and kinds
    ("unknown key", "promts: {}\n", "5:1: promts: no such key here; did you mean 'prompts'?"),
    (
        "unknown key, nothing near",
        "speed: {qqq: 1}\n",
        "5:9: speed.qqq: no such key here; there is run, walk",
    ),
    ("no title", "%" + PROMPTS, "1:1: the key 'title' is missing"),
    ("no prompts", TITLE, "1:1: the key 'prompts' is missing"),
    ("empty prompts", TITLE + "prompts: {}\n", "1:1: `prompts` needs at least one prompt"),
    (
        "prompts as text",
        TITLE + "prompts: a\n",
        "2:10: prompts: expected `name: value` lines, not 'a'",
    ),
    ("title is a list", "%title: [a]\n" + PROMPTS, "1:8: title: expected text, not a list"),
    ("title is yes", "%title: true\n" + PROMPTS, "1:8: title: expected text; put true in quotes"),
    ("title is empty", '%title: " "\n' + PROMPTS, "1:9: title: expected text, not an empty one"),
    (
        "title is long",
        "%title: " + "a" * 2001 + "\n" + PROMPTS,
        "1:8: title: longer than 2000 signs",
    ),
    ("seed is text", "seed: lucky\n", "5:7: seed: expected a whole number, not 'lucky'"),
    ("seed is a fraction", "seed: 1.5\n", "5:7: seed: expected a whole number, not 1.5"),
    ("seed is negative", "seed: -1\n", "5:7: seed: -1 is outside 0 to 2147483647"),
    (
        "seed is a mapping",
        "seed: {a: 1}\n",
        "5:7: seed: expected a whole number, not `key: value` lines",
    ),
    ("fps too high", "fps: 1000\n", "5:6: fps: 1000 is outside 1 to 240"),
    ("hud is text", "hud: maybe\n", "5:6: hud: expected true or false, not 'maybe'"),
    ("hud is no", "hud: no\n", "5:6: hud: expected true or false, not 'no'"),
    ("speed is text", "speed: {walk: fast}\n", "5:15: speed.walk: expected a number, not 'fast'"),
    ("speed is nothing", "speed: 4\n", "5:8: speed: expected `key: value` lines, not 4"),
    ("huge number", "counters: {a: 1e13}\n", "5:15: counters.a: 10000000000000.0 is too large"),
    (
        "pack is a path",
        "pack: ../mine\n",
        "5:7: pack: '../mine' is not the name of a pack; `helios packs` lists them",
    ),
    (
        "hints as mapping",
        "hints: {a: b}\n",
        "5:8: hints: expected a list: begin each item with `- `",
    ),
    (
        "timeline as mapping",
        "timeline: {at: 1s}\n",
        "5:11: timeline: expected a list: begin each item with `- `",
    ),
    (
        "platform unknown",
        "platform: {linus: {}}\n",
        "5:12: platform.linus: no such key here; did you mean 'linux'?",
    ),
    (
        "story by platform",
        "platform: {mac: {seed: 1}}\n",
        "5:18: platform.mac.seed: no such key here; there is bindings, fps, hints, hud, pack",
    ),
    (
        "environment by platform",
        'platform: {linux: {pack: "${oc.env:HOME}"}}\n',
        "5:27: '${oc.env:HOME}' is not expanded here; only ${vars.name} with a name under `vars` is",
    ),
    (
        "variable by platform",
        'platform: {linux: {hints: ["${vars.nme}"]}}\n',
        "5:29: no variable 'nme' under `vars`; this scene has none",
    ),
    (
        "variables of a platform",
        'vars: {a: x}\nplatform: {linux: {vars: {a: "${vars.a}"}}}\n',
        "6:20: platform.linux.vars: no such key here; there is bindings, fps, hints, hud, pack",
    ),
    # ---- names
    (
        "prompt name",
        TITLE + "prompts: {Big Storm: b}\n",
        "2:11: prompts.Big Storm: 'Big Storm' is not a name; use lower case letters, digits and _, "
        "at most 40, starting with a letter",
    ),
    (
        "start prompt",
        "start: meadwo\n",
        "5:8: start: no prompt is called 'meadwo'; did you mean 'meadow'?",
    ),
    (
        "two starts",
        "start: {image: a.png, clip: b.mp4}\n",
        "5:8: start: start from one of image and clip, not both",
    ),
    (
        "event prompt",
        "timeline: [{at: 1s, prompt: strom}]\n",
        "5:29: timeline[1].prompt: no prompt is called 'strom'; did you mean 'storm'?",
    ),
    (
        "macro",
        "timeline: [{at: 1s, inject: spin}]\n",
        "5:29: timeline[1].inject: no macro is called 'spin'; this scene has none",
    ),
    (
        "phase",
        "timeline: [{at: 1s, go: night}]\n",
        "5:25: timeline[1].go: no phase is called 'night'; this scene has none",
    ),
    (
        "counter",
        "timeline: [{at: 1s, set: {laps: 1}}]\n",
        "5:27: timeline[1].set.laps: no counter or flag is called 'laps'; this scene has none",
    ),
    (
        "channel of a limit",
        "limits: {lok_yaw: 1}\n",
        "5:10: limits.lok_yaw: no channel is called 'lok_yaw'; did you mean 'look_yaw'?",
    ),
    (
        "channel of a scale",
        "timeline: [{at: 1s, scale: {channels: {junp: 0}}}]\n",
        "5:40: timeline[1].scale.channels.junp: no channel is called 'junp'; did you mean 'jump'?",
    ),
    (
        "counter named as a word",
        "counters: {idle: 0}\n",
        "5:12: counters.idle: 'idle' is a word of the expression language; take another name",
    ),
    (
        "counter and flag",
        "counters: {a: 0}\nflags: {a: true}\n",
        "6:9: flags.a: 'a' is a counter already",
    ),
    (
        "macro reverses itself",
        "macros: {a: {reverse: a}}\n",
        "5:23: macros.a.reverse: a reverses itself",
    ),
    (
        "macro with both",
        'macros: {b: "+1s: jump", a: {track: "+1s: jump", reverse: b}}\n',
        "5:29: macros.a: give either a track or a macro to reverse",
    ),
    # ---- times
    (
        "bare number",
        "timeline: [{at: 12, end: true}]\n",
        "5:17: timeline[1].at: 12 is not a time; did you mean 12s?",
    ),
    (
        "bananas",
        "timeline: [{at: 5 bananas, end: true}]\n",
        "5:17: timeline[1].at: '5 bananas' is not a time; write 12s, 1m30s, 500ms or frame 288",
    ),
    (
        "negative time",
        "timeline: [{at: -3s, end: true}]\n",
        "5:17: timeline[1].at: '-3s' is not a time; write 12s, 1m30s, 500ms or frame 288",
    ),
    (
        "endless time",
        "timeline: [{at: 400h, end: true}]\n",
        "5:17: timeline[1].at: longer than a million seconds; use `every` or a phase instead",
    ),
    (
        "no time",
        "timeline: [{end: true}]\n",
        "5:12: timeline[1]: when? write `at: 12s` or `every: 30s`",
    ),
    (
        "every nothing",
        "timeline: [{every: 0s, end: true}]\n",
        "5:12: timeline[1]: `every` needs a span above 0",
    ),
    (
        "until alone",
        "timeline: [{at: 1s, until: 2s, end: true}]\n",
        "5:12: timeline[1]: `until` belongs to `every`",
    ),
    (
        "no effect",
        "timeline: [{at: 1s}]\n",
        f"5:12: timeline[1]: this does nothing; say what with one of {EFFECTS}",
    ),
    (
        "when in a timeline",
        "timeline: [{at: 1s, when: idle > 1, end: true}]\n",
        "5:21: timeline[1].when: no such key here; there is anchor, at, caption, cut, end, every, fade, go, inject, jump, load, prompt, ...",
    ),
    # ---- effects
    (
        "caption without text",
        "timeline: [{at: 1s, caption: {for: 1s}}]\n",
        "5:30: timeline[1].caption: the key 'text' is missing",
    ),
    (
        "caption style",
        "timeline: [{at: 1s, caption: {text: a, style: whispr}}]\n",
        "5:47: timeline[1].caption.style: 'whispr' is not known here; did you mean 'whisper'?",
    ),
    (
        "volume",
        "timeline: [{at: 1s, sound: {file: a.ogg, volume: 11}}]\n",
        "5:50: timeline[1].sound.volume: 11 is outside 0 to 1",
    ),
    (
        "colour",
        "timeline: [{at: 1s, fade: {to: colour, colour: sky}}]\n",
        "5:48: timeline[1].fade.colour: 'sky' is not a colour; write \"#20304f\" or one of black, white, red, green, blue, grey, gold, night",
    ),
    (
        "fade",
        "timeline: [{at: 1s, fade: black}]\n",
        "5:27: timeline[1].fade: 'black' is not known here; there is colour, picture",
    ),
    (
        "record",
        "timeline: [{at: 1s, record: begin}]\n",
        "5:29: timeline[1].record: 'begin' is not known here; there is start, stop",
    ),
    (
        "anchor kind",
        "timeline: [{at: 1s, anchor: drop}]\n",
        "5:29: timeline[1].anchor: 'drop' is not known here; there is renew",
    ),
    (
        "cut",
        "timeline: [{at: 1s, cut: all}]\n",
        "5:26: timeline[1].cut: 'all' is not known here; there is anchor, last, nothing",
    ),
    (
        "latents",
        "timeline: [{at: 1s, cut: {keep: last, latents: 99}}]\n",
        "5:48: timeline[1].cut.latents: 99 is outside 1 to 16",
    ),
    (
        "screenshot is a path",
        "timeline: [{at: 1s, screenshot: a/b}]\n",
        "5:33: timeline[1].screenshot: 'a/b' is not a name; use lower case letters, digits and _, at most 40, starting with a letter",
    ),
    (
        "jump to a picture",
        "timeline: [{at: 1s, jump: a.png}]\n",
        "5:12: timeline[1]: a.png is no scene to jump to; name a YAML file",
    ),
    (
        "inject nothing",
        "timeline: [{at: 1s, inject: {times: 2}}]\n",
        "5:29: timeline[1].inject: name either a macro or a track",
    ),
    (
        "ease",
        'timeline: [{at: 1s, inject: {track: "+1s: jump", ease: bouncy}}]\n',
        "5:56: timeline[1].inject.ease: 'bouncy' is not known here; there is in, linear, out, smooth",
    ),
    # ---- files
    (
        "file above",
        "timeline: [{at: 1s, sound: ../a.ogg}]\n",
        "5:28: timeline[1].sound: '../a.ogg' is not a file beside the scene; a scene names files in its own folder, such as sounds/wind.ogg, or shipped ones, such as assets/fonts/x.ttf",
    ),
    (
        "the folder itself",
        "thumbnail: ./\n",
        "5:12: thumbnail: './' is not a file beside the scene; a scene names files in its own folder, such as sounds/wind.ogg, or shipped ones, such as assets/fonts/x.ttf",
    ),
    (
        "file at the root",
        "thumbnail: /etc/passwd\n",
        "5:12: thumbnail: '/etc/passwd' is not a file beside the scene; a scene names files in its own folder, such as sounds/wind.ogg, or shipped ones, such as assets/fonts/x.ttf",
    ),
    (
        "file on a drive",
        "thumbnail: 'C:\\x.png'\n",
        "5:12: thumbnail: 'C:\\\\x.png' is not a file beside the scene; a scene names files in its own folder, such as sounds/wind.ogg, or shipped ones, such as assets/fonts/x.ttf",
    ),
    (
        "include missing",
        "use: nothere.yaml\n",
        "5:6: use: nothere.yaml cannot be read: no such file or directory",
    ),
    (
        "include elsewhere",
        "use: sub/other.yaml\n",
        "5:6: use: sub/other.yaml is not a YAML file in the same folder, such as common.yaml",
    ),
    (
        "include no YAML",
        "use: [notes.txt]\n",
        "5:7: use: notes.txt is not a YAML file in the same folder, such as common.yaml",
    ),
    # ---- variables
    (
        "unknown variable",
        "vars: {a: 1}\nauthor: ${vars.b}\n",
        "6:9: no variable 'b' under `vars`; there is a",
    ),
    (
        "environment",
        "author: ${oc.env:HOME}\n",
        "5:9: '${oc.env:HOME}' is not expanded here; only ${vars.name} with a name under `vars` is",
    ),
    (
        "another key",
        "author: by ${title}\n",
        "5:12: '${title}' is not expanded here; only ${vars.name} with a name under `vars` is",
    ),
    (
        "open reference",
        'author: "${vars.a"\n',
        "5:10: '${vars.a' is not expanded here; only ${vars.name} with a name under `vars` is",
    ),
    (
        "nested reference",
        "vars: {a: a}\nauthor: ${vars.${vars.a}}\n",
        "6:9: '${vars.' is not expanded here; only ${vars.name} with a name under `vars` is",
    ),
    ("circle", "vars: {a: '${vars.a}'}\n", "5:12: vars.a refers to itself"),
    (
        "list variable",
        "vars: {a: [1]}\n",
        "5:11: vars.a: expected text or a number or true or false, not a list",
    ),
    # ---- expressions
    (
        "unknown word",
        "triggers: [{when: idel > 5s, end: true}]\n",
        "5:19: triggers[1].when: nothing is called 'idel'; did you mean 'idle'?",
    ),
    (
        "unknown word, further on",
        "triggers: [{when: idle > 5s and wett, end: true}]\n",
        "5:33: triggers[1].when: nothing is called 'wett'; there is away, blue, brightness, crossfade, distance, green, idle, phase_time, red, tilted, time, turned",
    ),
    (
        "one equals sign",
        "triggers: [{when: time = 5, end: true}]\n",
        "5:24: triggers[1].when: did not expect '=' here; write == to compare",
    ),
    (
        "open expression bracket",
        'triggers: [{when: "(idle > 5", end: true}]\n',
        "5:29: triggers[1].when: expected ')', found the end",
    ),
    (
        "ends early",
        "triggers: [{when: idle >, end: true}]\n",
        "5:25: triggers[1].when: the expression ends too early",
    ),
    (
        "two ampersands",
        "triggers: [{when: tapped(e) && tapped(q), end: true}]\n",
        "5:29: triggers[1].when: did not expect '&' here; write `and`",
    ),
    (
        "exclamation mark",
        "triggers: [{when: '!tapped(e)', end: true}]\n",
        "5:20: triggers[1].when: did not expect '!' here; write `not`, or != to compare",
    ),
    (
        "two words",
        "triggers: [{when: idle time, end: true}]\n",
        "5:24: triggers[1].when: did not expect 'time' here",
    ),
    (
        "number as condition",
        "triggers: [{when: idle, end: true}]\n",
        "5:19: triggers[1].when: a condition must be a yes or no; compare the number, as in idle > 5s",
    ),
    (
        "number with and",
        "triggers: [{when: idle and time > 1, end: true}]\n",
        "5:19: triggers[1].when: 'and' wants a yes or no, and this is a number; compare it, as in idle > 5s",
    ),
    (
        "adding a yes",
        "counters: {a: 0}\ntimeline: [{at: 1s, set: {a: a + true}}]\n",
        "6:34: timeline[1].set.a: '+' wants a number, and this is a yes or no",
    ),
    (
        "counter set to yes",
        "counters: {a: 0}\ntimeline: [{at: 1s, set: {a: time > 1}}]\n",
        "6:30: timeline[1].set.a: a is a number, and this is a yes or no",
    ),
    (
        "flag set to a number",
        "flags: {a: true}\ntimeline: [{at: 1s, set: {a: 1}}]\n",
        "6:30: timeline[1].set.a: a is a yes or no, and this is a number",
    ),
    (
        "unknown function",
        "triggers: [{when: hold(e) > 1, end: true}]\n",
        "5:19: triggers[1].when: no function 'hold'; did you mean 'held'?",
    ),
    (
        "unknown key to hold",
        "triggers: [{when: held(spce) > 1, end: true}]\n",
        "5:19: triggers[1].when: no key or channel is called 'spce'; did you mean 'space'?",
    ),
    (
        "unknown channel to hold",
        "triggers: [{when: held(look_yew) > 1, end: true}]\n",
        "5:19: triggers[1].when: no key or channel is called 'look_yew'; did you mean 'look_yaw'?",
    ),
    (
        "function without brackets",
        "triggers: [{when: held > 1, end: true}]\n",
        "5:19: triggers[1].when: held wants its input in brackets",
    ),
    (
        "function with nothing",
        "triggers: [{when: tapped(), end: true}]\n",
        "5:19: triggers[1].when: tapped wants the input it is about in brackets",
    ),
    (
        "chance of 30",
        "triggers: [{when: chance(30), end: true}]\n",
        "5:19: triggers[1].when: chance wants a number from 0 to 1, not '30'",
    ),
    (
        "unknown prompt asked",
        "triggers: [{when: prompt(strom), end: true}]\n",
        "5:19: triggers[1].when: no prompt is called 'strom'; did you mean 'storm'?",
    ),
    (
        "unknown phase asked",
        "triggers: [{when: phase(night), end: true}]\n",
        "5:19: triggers[1].when: no phase is called 'night'; this scene has none",
    ),
    (
        "min of one",
        "triggers: [{when: min(time) > 1, end: true}]\n",
        "5:22: triggers[1].when: min takes 2, not 1",
    ),
    (
        "code",
        "triggers: [{when: __import__('os'), end: true}]\n",
        "5:19: triggers[1].when: no function '__import__'; there is abs, chance, held, max, min, phase, prompt, tapped",
    ),
    (
        "attribute",
        "triggers: [{when: time.x > 1, end: true}]\n",
        "5:19: triggers[1].when: nothing is called 'time.x'; did you mean 'time'?",
    ),
    (
        "nested too deep",
        f"triggers: [{{when: '{'(' * 30}true{')' * 30}', end: true}}]\n",
        "5:45: triggers[1].when: nested deeper than 24",
    ),
    (
        "too many operators",
        f"triggers: [{{when: '{'1+' * 60}1 > 0', end: true}}]\n",
        "5:121: triggers[1].when: an expression has at most 50 operators",
    ),
    (
        "too long",
        f"triggers: [{{when: 'true {' ' * 500}', end: true}}]\n",
        "5:20: triggers[1].when: an expression has at most 400 signs",
    ),
    ("no condition", "triggers: [{end: true}]\n", "5:12: triggers[1]: the key 'when' is missing"),
    # ---- tracks
    (
        "no colon",
        "macros: {a: jump}\n",
        "5:13: macros.a: 'jump' has no ':' between its stretch and its channels",
    ),
    (
        "bad stretch",
        'macros: {a: "soon: jump"}\n',
        "5:14: macros.a: 'soon' is not a time; write 12s, 1m30s, 500ms or frame 288",
    ),
    (
        "backwards stretch",
        'macros: {a: "9-3: jump"}\n',
        "5:14: macros.a: '9-3' ends before it begins",
    ),
    (
        "unknown channel of a track",
        'macros: {a: "+1s: move_forward; +1s: jmp"}\n',
        "5:33: macros.a: no channel 'jmp'; did you mean 'jump'?",
    ),
    (
        "beyond its range",
        'macros: {a: "+1s: look_yaw=999"}\n',
        "5:14: macros.a: look_yaw=999 is outside -240 to 240 deg/s",
    ),
    (
        "not a number",
        'macros: {a: "+1s: look_yaw=left"}\n',
        "5:14: macros.a: look_yaw=left: 'left' is not a number",
    ),
    (
        "infinite",
        'macros: {a: "+1s: look_yaw=inf"}\n',
        "5:14: macros.a: look_yaw=inf: not a finite number",
    ),
    (
        "empty track",
        'macros: {a: " ; "}\n',
        "5:14: macros.a: an empty track; write for example +2s: move_forward",
    ),
    # ---- bindings
    (
        "input",
        "bindings: {channels: {jump: [spce]}}\n",
        "5:30: bindings.channels.jump[1]: no input is called 'spce'; did you mean 'space'?",
    ),
    (
        "command",
        "bindings: {commands: {rewnd: [b]}}\n",
        "5:11: bindings: no command 'rewnd'; did you mean 'rewind'?",
    ),
    (
        "motion for a button",
        "bindings: {channels: {jump: [f, mouse.x]}}\n",
        "5:33: bindings.channels.jump[2]: jump is a button and mouse.x is motion; bind a key, a mouse button or mouse.wheel_up",
    ),
    (
        "input of two channels",
        "bindings: {channels: {jump: [f], look_yaw: [-f]}}\n",
        "5:45: bindings.channels.look_yaw[1]: 'f' is bound to jump and to look_yaw",
    ),
    (
        "tuning",
        "bindings: {tuning: {dead_zon: 0.1}}\n",
        "5:21: bindings.tuning.dead_zon: no such key here; did you mean 'dead_zone'?",
    ),
    (
        "tuning value",
        "bindings: {tuning: {dead_zone: 5}}\n",
        "5:11: bindings: tuning dead_zone: 5.0 is outside [0, 0.9]",
    ),
    (
        "limit turned round",
        "limits: {look_yaw: {low: 10, high: -10}}\n",
        "5:20: limits.look_yaw: low 10 is above high -10",
    ),
    (
        "autopilot without a track",
        "autopilot: {after: 1s}\n",
        "5:12: autopilot: name either a macro or a track",
    ),
]

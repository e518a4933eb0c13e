// The models of Kubernetes check the values of the fields that they know and let others be, as the API server does
// with a warning that nobody reads. Here a field that they do not know is refused.

/** What a model refuses of a manifest, a line each. */
export function refused(Kind, manifest) {
  const { watched, unread } = watching(manifest);
  try {
    new Kind(manifest).validate.call(watched);
  } catch (error) {
    return error.message.split(", ");
  }
  return unread();
}

/** The same object, but that it knows afterwards which of its fields nobody asked for: the generated code asks for
 * each field that the schema has by its name, and goes through all of what may have any. */
function watching(object) {
  const read = new Map();
  const watch = (value, path) => {
    if (typeof value !== "object" || value === null) return value;
    const fields = new Set();
    if (!Array.isArray(value)) read.set(path, { fields, names: Object.keys(value) });
    const inner = new Map();
    return new Proxy(value, {
      get: (target, name) => {
        fields.add(name);
        if (typeof name === "symbol" || !Object.hasOwn(target, name)) return target[name];
        if (!inner.has(name)) inner.set(name, watch(target[name], `${path}/${name}`));
        return inner.get(name);
      },
      ownKeys: (target) => {
        const names = Reflect.ownKeys(target);
        names.forEach((name) => fields.add(name));
        return names;
      },
    });
  };
  const unread = () => [...read].flatMap(([path, { fields, names }]) => names.filter((name) => !fields.has(name)).map((name) => `${path}/${name} is no field`));
  return { watched: watch(object, ""), unread };
}

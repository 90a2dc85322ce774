"use strict";

const api = document.querySelector('meta[name="api"]').content;
const byId = (id) => document.getElementById(id);

function element(name, content = [], attributes = {}) {
  const node = Object.assign(document.createElement(name), attributes);
  node.append(...[content].flat());
  return node;
}

// Turns the `code` in a description into elements.
const richText = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", part) : part));

// Returns a table of rows whose first cell is a row header.
function table(columns, rows) {
  const head = columns.map((column) => element("th", column, { scope: "col" }));
  const body = rows.map(([first, ...others]) => element("tr", [
    element("th", first, { scope: "row" }),
    ...others.map((cell, index) => element("td", cell, { className: columns[index + 1] })),
  ]));
  return element("table", [element("thead", element("tr", head)), element("tbody", body)]);
}

// Returns the name as code that can break after "." and "_", but not within a word.
function breakableName(name) {
  const parts = name.split(/(?<=[._])/).flatMap((part) => [part, element("wbr")]);
  return element("code", parts.slice(0, -1));
}

// Returns a value as JSON, with short objects on one line.
function formatJson(value) {
  return JSON.stringify(value, null, 2).replace(/\{\n[^{}[\]]*\}/g, (text) => {
    const line = text.replace(/\n\s*/g, " ");
    return line.length <= 60 ? line : text;
  });
}

// Returns text as a word of the shell.
const shellWord = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

fetch(`${api}/openapi.json`).then((response) => response.json()).then((description) => {
  // Returns the part of the document that a $ref names, with the properties beside the $ref.
  function resolve(part = {}) {
    if (!part.$ref) return part;
    const target = part.$ref.slice(2).split("/").reduce((outer, name) => outer[name], description);
    return { ...resolve(target), ...part, $ref: undefined };
  }

  // Returns the example of a request or response, if it has one.
  function exampleOf(media) {
    const [first] = Object.values(media.examples ?? {});
    return first ? resolve(first).value : media.example;
  }

  function exampleBlock(media) {
    const example = exampleOf(media);
    return example === undefined ? [] : [element("pre", formatJson(example))];
  }

  // Returns the URL of the operation with the examples of its parameters.
  function exampleUrl(path, parameters) {
    const examples = parameters.map(resolve).filter(({ example }) => example !== undefined);
    const values = (place) => examples.filter((parameter) => parameter.in === place).map(({ name, example }) => [name, example]);
    const filled = values("path").reduce((text, [name, example]) => text.replace(`{${name}}`, example), path);
    const query = new URLSearchParams(values("query")).toString();
    return `${location.origin}${api}${filled}${query && `?${query}`}`;
  }

  // Returns the options of curl that send the body: a photo if the operation takes one.
  function bodyOptions(content, added) {
    const [mediaType, media] = Object.entries(content)[0];
    const isPhoto = media.schema.format === "binary";
    const data = isPhoto ? "--data-binary @front.jpg" : `--data ${shellWord(JSON.stringify({ ...added, ...exampleOf(media) }))}`;
    return [data, `--header ${shellWord(`Content-Type: ${mediaType}`)}`];
  }

  const CREDENTIALS = { apiKey: '--header "x-api-key: $API_KEY"', listingToken: '--header "Authorization: Bearer $TOKEN"' };

  // Returns the operation as a command for a shell. `added` are further fields of its body.
  function commandOf(path, method, operation, added = {}) {
    const [, success] = Object.entries(operation.responses).find(([status]) => status < 300);
    const [mediaType = ""] = Object.keys(success.content ?? {});
    const words = [
      ...(method === "delete" || method === "put" ? [`--request ${method.toUpperCase()}`] : []),
      ...(operation.requestBody ? bodyOptions(resolve(operation.requestBody).content, added) : []),
      ...(operation.security ?? description.security).flatMap(Object.keys).map((scheme) => CREDENTIALS[scheme]),
      ...(mediaType.startsWith("image/") ? ["--output small.jpg"] : []),
      shellWord(exampleUrl(path, operation.parameters ?? [])),
    ];
    const line = words.join(" ");
    return `curl ${line.length <= 76 ? line : words.join(" \\\n  ")}`;
  }

  // After these, the other commands do not find the listing of the examples any more. So they come last.
  const isDeletion = (path, method) => method === "delete" && !path.includes("confirmation");

  const commandBlock = (command) => element("pre", command, { className: "command" });

  // Returns a command whose output goes to another one.
  const quiet = (command) => command.replace("curl", "curl --silent");

  // Returns the commands that post the photo with the form of the response: each of its fields becomes a line that curl reads.
  function formCommand(command) {
    return [
      `UPLOADS=$(${quiet(command)})`,
      `URL=$(echo "$UPLOADS" | sed 's/.*"url": "\\([^"]*\\)".*/\\1/')`,
      `echo "$UPLOADS" | sed 's/.*"fields": {\\([^}]*\\)}.*/\\1/' |`,
      `  sed 's/"\\([^"]*\\)": "\\([^"]*\\)"/form-string = "\\1=\\2"/g; s/, form/|form/g' | tr '|' '\\n' |`,
      '  curl --config - --form file=@front.jpg "$URL"',
    ].join("\n");
  }

  function commandBlocks(path, method, operation) {
    const command = commandOf(path, method, operation);
    const isUpload = operation.operationId === "createUploads";
    return [
      element("h3", "Command"),
      commandBlock(command),
      ...(isUpload ? [element("p", "To send the photo, too, with the form of the response:"), commandBlock(formCommand(command))] : []),
    ];
  }

  // Returns the type of a schema with its limits and its default, as text.
  function typeOf(reference) {
    const schema = resolve(reference);
    if (schema.anyOf) return schema.anyOf.map(typeOf).join(", or ");
    if (schema.enum) return `one of ${schema.enum.map((value) => `\`${value}\``).join(", ")}`;
    if ("const" in schema) return `always \`${schema.const}\``;
    const name = [schema.type].flat().join(" or ");
    const parts = [schema.items ? `${name} of ${resolve(schema.items).type}s` : name];
    if (schema.format) parts[0] += ` (${schema.format})`;
    const { minimum, maximum, minLength = schema.minItems, maxLength = schema.maxItems } = schema;
    parts.push(rangeOf(minimum, maximum), rangeOf(minLength, maxLength, "length "));
    if ("default" in schema) parts.push(`default ${schema.default}`);
    return parts.filter(Boolean).join(", ");
  }

  function rangeOf(least, most, quantity = "") {
    if (least === undefined && most === undefined) return "";
    if (most === undefined) return `${quantity}at least ${least}`;
    return least === undefined ? `${quantity}at most ${most}` : `${quantity}${least} to ${most}`;
  }

  // Returns a row for each field of an object, and for each field of the objects in it.
  function fieldRows(reference, prefix = "") {
    const schema = resolve(reference);
    if (schema.anyOf) return schema.anyOf.flatMap((choice) => fieldRows(choice, prefix));
    if (schema.items) return fieldRows(schema.items, prefix.replace(/\.$/, "[]."));
    const fields = Object.entries(schema.properties ?? {});
    if (schema.additionalProperties) fields.push([`{${schema["x-additionalPropertiesName"]}}`, schema.additionalProperties]);
    return fields.flatMap(([name, field]) => [
      [breakableName(prefix + name), richText(typeOf(field)), richText(resolve(field).description)],
      ...fieldRows(field, `${prefix}${name}.`),
    ]);
  }

  const placesOfFields = new Map(); // by the $ref of the schema

  // Returns the table of the fields, or a link to it if the page has it already. `place` is the operation of this table.
  function fieldTable(schema = {}, place) {
    const first = placesOfFields.get(schema.$ref);
    if (first) return [element("p", ["The fields are those of ", element("a", first.name, { href: `#${first.id}` }), "."])];
    const rows = fieldRows(schema);
    if (schema.$ref && place) placesOfFields.set(schema.$ref, place);
    return rows.length ? [table(["field", "type", "meaning"], rows)] : [];
  }

  function parameterTable(parameters) {
    return table(["parameter", "type", "meaning"], parameters.map(resolve).map((parameter) => {
      const place = parameter.required ? `${parameter.in}, required` : parameter.in;
      const type = `${typeOf(parameter.schema)} (${place})`;
      return [breakableName(parameter.name), richText(type), richText(parameter.description)];
    }));
  }

  function headerTable(headers) {
    return table(["header", "type", "meaning"], Object.entries(headers).map(([name, reference]) => {
      const header = resolve(reference);
      return [element("code", name), typeOf(header.schema), richText(header.description)];
    }));
  }

  function requestBody(reference) {
    const body = resolve(reference);
    return [
      element("h3", "Request body"),
      element("p", richText(body.description)),
      ...Object.entries(body.content).flatMap(([mediaType, media]) => [
        element("h4", element("code", mediaType)),
        ...exampleBlock(media),
        ...(media.schema.description ? [element("p", richText(media.schema.description))] : []),
        ...fieldTable(media.schema),
      ]),
    ];
  }

  function successfulResponse(status, response, place) {
    const media = response.content?.["application/json"] ?? {};
    return [
      element("h3", ["Response ", element("code", status)]),
      element("p", richText(response.description)),
      ...exampleBlock(media),
      ...fieldTable(media.schema, place),
      ...(response.headers ? [headerTable(response.headers)] : []),
    ];
  }

  function operationSection(path, method, operation) {
    const responses = Object.entries(operation.responses).map(([status, reference]) => [status, resolve(reference)]);
    const successes = responses.filter(([status]) => status < 300);
    const others = responses.filter(([status]) => status >= 300);
    const place = { id: operation.operationId, name: `${method.toUpperCase()} ${path}` };
    return element("section", [
      element("h2", [element("span", method.toUpperCase(), { className: "method" }), ` ${path}`], { id: operation.operationId }),
      element("p", richText(`${operation.summary}. ${operation.description}`)),
      ...commandBlocks(path, method, operation),
      ...(operation.parameters ? [element("h3", "Parameters"), parameterTable(operation.parameters)] : []),
      ...(operation.requestBody ? requestBody(operation.requestBody) : []),
      ...successes.flatMap(([status, response]) => successfulResponse(status, response, place)),
      element("h3", "Other responses"),
      table(["status", "meaning"], others.map(([status, response]) => [element("code", status), richText(response.description)])),
    ]);
  }

  // Returns the requests of sellers. They repeat others, to which their headings lead.
  function sellersSection(operations) {
    const uploads = description.paths["/uploads"].post;
    const listing = { batch_id: description.components.parameters.BatchId.example };
    const command = quiet(commandOf("/uploads", "post", uploads, listing));
    return element("section", [
      element("h2", "Requests of sellers", { id: "sellers" }),
      element("p", richText("These repeat requests above, to which their headings lead, with the same parameters, bodies and responses. They need no API key but the `token` of a listing, reach that listing alone, and are for sellers' browsers. What is said with a token is said `by` the `seller`.")),
      element("p", "Your server gets the token, here for the listing of the examples, with its API key:"),
      commandBlock(`TOKEN=$(${command} |\n  sed 's/.*"token": "\\([^"]*\\)".*/\\1/')`),
      ...operations.flatMap(([path, method, operation]) => {
        const name = `${method.toUpperCase()} ${path}`;
        const same = description.paths[path.replace("/listings", "")][method].operationId;
        return [
          element("h3", element("a", name, { href: `#${same}` }), { id: operation.operationId }),
          ...(isDeletion(path, method) ? [] : [commandBlock(commandOf(path, method, operation))]),
        ];
      }),
    ]);
  }

  function errorSection() {
    const media = resolve(description.components.responses.NotFound).content["application/json"];
    return element("section", [
      element("h2", "Errors", { id: "errors" }),
      element("p", "The body of every error response has these fields."),
      ...exampleBlock(media),
      ...fieldTable(media.schema),
    ]);
  }

  const addLink = (id, name, text = "") => byId("contents").append(element("li", [element("a", name, { href: `#${id}` }), text]));
  byId("title").textContent = description.info.title;
  byId("about").append(" ", ...richText(description.info.description));
  const operations = Object.entries(description.paths).flatMap(
    ([path, methods]) => Object.entries(methods).map(([method, operation]) => [path, method, operation]),
  );
  const isSellers = ([, , operation]) => operation.tags.includes("listings");
  const addOperations = (chosen) => chosen.forEach(([path, method, operation]) => {
    addLink(operation.operationId, `${method.toUpperCase()} ${path}`, ` ${operation.summary}`);
    byId("requests").append(operationSection(path, method, operation));
  });
  const ofShop = operations.filter((one) => !isSellers(one));
  addOperations(ofShop.filter(([path, method]) => !isDeletion(path, method)));
  addLink("sellers", "Requests of sellers");
  byId("requests").append(sellersSection(operations.filter(isSellers)));
  addOperations(ofShop.filter(([path, method]) => isDeletion(path, method)));
  addLink("errors", "Errors");
  byId("requests").append(errorSection());
  if (location.hash) document.querySelector(location.hash)?.scrollIntoView();
}).catch(() => { byId("about").append(" The document could not be loaded. Please reload the page."); });

package mcpcache

import (
	"context"

	"github.com/forebay-cache/forebay"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ToolTag is the tag of all results of a tool of this server, of whatever caller and arguments.
func (c *Cache) ToolTag(name string) string { return c.options.Server + ":tool:" + name }

// ResourceTag is the tag of what is stored of a resource.
func (c *Cache) ResourceTag(uri string) string { return c.options.Server + ":resource:" + uri }

// ListTag is the tag of a list, by its method: tools/list.
func (c *Cache) ListTag(method string) string { return c.options.Server + ":" + method }

func (c *Cache) tagsOf(method, name string) []string {
	switch method {
	case callTool:
		return []string{c.ToolTag(name)}
	case readResource:
		return []string{c.ResourceTag(name)}
	case getPrompt:
		return []string{c.ListTag(listPrompts)}
	}
	return []string{c.ListTag(method)}
}

// ToolChanged removes the results of a tool, for instance because its data have changed.
func (c *Cache) ToolChanged(ctx context.Context, name string) (forebay.Receipt, error) {
	return c.cache.Invalidate(ctx, forebay.Tag(c.ToolTag(name)))
}

// ResourceUpdated removes what is stored of a resource. Where clients are told by the server itself, on a session or a
// subscription, the cache hears it by itself.
func (c *Cache) ResourceUpdated(ctx context.Context, uri string) (forebay.Receipt, error) {
	return c.cache.Invalidate(ctx, forebay.Tag(c.ResourceTag(uri)))
}

// ListChanged removes a list, by its method.
func (c *Cache) ListChanged(ctx context.Context, method string) (forebay.Receipt, error) {
	return c.cache.Invalidate(ctx, forebay.Tag(c.ListTag(method)))
}

// heard invalidates what a notification says has changed. The notification goes on when that is done: who asks because
// of it gets what is new.
func (c *Cache) heard(ctx context.Context, method string, req mcp.Request) {
	var tags []string
	switch method {
	case "notifications/tools/list_changed":
		tags = []string{c.ListTag(listTools)}
	case "notifications/prompts/list_changed":
		tags = []string{c.ListTag(listPrompts)}
	case "notifications/resources/list_changed":
		tags = []string{c.ListTag(listResources), c.ListTag(listTemplates)}
	case "notifications/resources/updated":
		if p, ok := req.GetParams().(*mcp.ResourceUpdatedNotificationParams); ok {
			tags = []string{c.ResourceTag(p.URI)}
		}
	}
	for _, tag := range tags {
		c.cache.Invalidate(ctx, forebay.Tag(tag)) // its own log says where that is not possible
	}
}
